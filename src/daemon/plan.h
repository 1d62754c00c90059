#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "daemon/config.h"
#include "daemon/options.h"
#include "krakend/io/random.h"

namespace krakend::daemon {

/// What the plan needs to know of the host.
struct HostFacts {
  std::optional<std::string> local_ipv4;
  std::string host_name;
  std::string boot_id = {};
};

/// A flag with the value that holds, for --print-config.
struct EffectiveFlag {
  std::string name;
  std::string value;
  bool given = false;
};

/// What nginx did before a role of the reference.
struct EdgeOptions {
  struct Inner {
    std::string key;
    io::Address address;
  };
  std::vector<Inner> inner;  ///< listeners beside the one of the port flag
  std::vector<http::AnswerTimeout> answer_timeouts;
};

/// Everything decided before anything is opened: addresses, identities, directories.
struct Plan {
  std::string data_dir;
  std::string listen_host;
  std::string peer_ip;  ///< empty when no role announces itself
  storage::StoreOptions store;
  storage::EvictionOptions eviction;
  std::optional<origin::OriginOptions> origin;
  struct Statsd {
    Role role;
    std::string target;  ///< "host:port"
    std::string prefix;
  };
  std::vector<Statsd> statsd;
  std::map<Role, TlsConfig> tls;
  LogOptions log;
  struct Access {
    std::string path;  ///< empty: none
    bool json = false;
  };
  std::map<Role, Access> access_logs;
  std::map<Role, EdgeOptions> edges;
  LimitsConfig limits;
  Duration drain_delay{0};
  Duration drain_timeout = 10s;
  /// hashring.membership_wait_timeout, .membership_wait_interval
  Duration membership_wait_timeout = 1min;
  Duration membership_wait_interval = 500ms;
  std::optional<build_index::BuildIndexOptions> build_index;
  std::optional<tracker::TrackerOptions> tracker;
  std::optional<proxy::ProxyOptions> proxy;
  std::optional<agent::AgentOptions> agent;
  std::vector<EffectiveFlag> flags;
};

/// `random` makes the peer ids of the factory "random".
Result<Plan> make_plan(const Options& options, const Config& config, const HostFacts& host,
                       io::Random& random);

/// Own label on the ring: the entry of `cluster`, the ring's members, that is this origin. Without members:
/// where it can be reached.
Result<std::string> own_label(const Options& options, const HostFacts& host, const Plan& plan, uint16_t port,
                              const std::vector<std::string>& cluster);

/// 0.0.0.0 and :: cannot be connected to; the loopback address can.
std::string connectable(const std::string& host);
bool is_loopback(std::string_view host);
bool is_wildcard(std::string_view host);

}  // namespace krakend::daemon
