#pragma once

#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/config_lists.h"
#include "daemon/config_table.h"
#include "daemon/options.h"
#include "daemon/tls_config.h"
#include "krakend/core/log.h"
#include "krakend/http/server.h"
#include "krakend/io/disk.h"
#include "krakend/storage/evictor.h"
#include "roles/agent/agent.h"
#include "roles/build_index/build_index.h"
#include "roles/origin/origin.h"
#include "roles/proxy/proxy.h"
#include "roles/tracker/tracker.h"

namespace krakend::daemon {

enum class PeerIdFactory { random, addr_hash };

enum class MetricsBackend { none, statsd, m3 };

struct MetricsConfig {
  MetricsBackend backend = MetricsBackend::none;
  std::string host_port;  ///< of the statsd
  std::string prefix;
};

struct AccessLogConfig {
  std::string path;  ///< empty: none, or beside nginx's
  bool json = false;
  std::string nginx_path;     ///< nginx.access_log_path
  std::string nginx_log_dir;  ///< nginx.log_dir
};

/// What a process takes at most. One process has one set of limits: the largest holds.
struct LimitsConfig {
  uint64_t connections = http::ListenOptions{}.max_connections;
  uint64_t connections_per_address = http::ListenOptions{}.max_connections_per_address;
  uint64_t requests = http::ListenOptions{}.max_requests;
  uint64_t uploads = http::ListenOptions{}.max_uploads;
  uint64_t head_bytes = http::ListenOptions{}.max_head;
  Duration head_timeout = http::ListenOptions{}.head_timeout;
  Duration idle_timeout = http::ListenOptions{}.idle_timeout;
  Duration body_timeout = http::ListenOptions{}.body_timeout;
  uint64_t memory_max = 0;  ///< bytes; 0: what the control group allows
};

enum class ListenerNet { none, tcp, unix_socket };

/// A listener behind the reference's nginx: other programs of the host may know it. Served in the clear,
/// beside the port that a flag names.
struct InnerListener {
  std::string key;  ///< "blobserver.listener"
  ListenerNet net = ListenerNet::none;
  std::string addr;  ///< path, or "host:port"
};

/// What every component's YAML has.
struct CommonConfig {
  std::string data_dir;
  bool unknown_keys_warn = false;
  LogOptions log;
  AccessLogConfig access_log;
  std::list<InnerListener> inner_listeners;
  Duration answer_timeout = 3min;  ///< nginx.proxy_timeout
  /// From SIGTERM on, until the ports close; and from then on, until what still runs is cut.
  Duration drain_delay{0};
  Duration drain_timeout = 10s;
  LimitsConfig limits;
  MetricsConfig metrics;
  TlsConfig tls;
  /// The store's directories; one process has one store.
  storage::StoreOptions store;
  storage::EvictionOptions eviction;
};

struct AgentConfig : CommonConfig {
  agent::AgentOptions options;
  PeerIdFactory peer_ids = PeerIdFactory::addr_hash;
  /// Holds where the file names it, an empty list too.
  std::vector<io::AddressRange> allowed_cidrs;
  std::string registry_backup;  ///< "host:port"; empty: none
};
struct OriginConfig : CommonConfig {
  origin::OriginOptions options;
  PeerIdFactory peer_ids = PeerIdFactory::addr_hash;
  std::vector<BackendConfig> backends;
  /// SQLite file.
  std::string database;
  Duration membership_wait_timeout = 1min;
  Duration membership_wait_interval = 500ms;
};
struct TrackerConfig : CommonConfig {
  tracker::TrackerOptions options;
};
struct BuildIndexConfig : CommonConfig {
  build_index::BuildIndexOptions options;
  bool response_cache_disabled = false;
  std::vector<BackendConfig> backends;
  /// SQLite file.
  std::string database;
};
struct ProxyConfig : CommonConfig {
  proxy::ProxyOptions options;
};

// The declarative tables, one file each: config_<role>.cpp. What stands in `config` at that moment are the
// defaults.
void describe(ConfigTable& table, AgentConfig& config);
void describe(ConfigTable& table, OriginConfig& config);
void describe(ConfigTable& table, TrackerConfig& config);
void describe(ConfigTable& table, BuildIndexConfig& config);
void describe(ConfigTable& table, ProxyConfig& config);

/// One role's settings and the table that is bound to them.
struct Component {
  explicit Component(Role which) : role(which) {}
  virtual ~Component() = default;
  virtual CommonConfig& common() = 0;
  Role role;
  ConfigTable table;
};

template <class T>
struct ComponentOf final : Component {
  ComponentOf(Role which, T defaults) : Component(which), settings(std::move(defaults)) {
    describe(table, settings);
  }
  CommonConfig& common() override { return settings; }
  T settings;
};

/// The settings of all roles of this process; null for roles that are not in it.
struct Config {
  std::unique_ptr<ComponentOf<OriginConfig>> origin;
  std::unique_ptr<ComponentOf<BuildIndexConfig>> build_index;
  std::unique_ptr<ComponentOf<TrackerConfig>> tracker;
  std::unique_ptr<ComponentOf<ProxyConfig>> proxy;
  std::unique_ptr<ComponentOf<AgentConfig>> agent;

  /// In start order.
  std::vector<Component*> components() const;
  /// What is wrong with the files, `unknown_keys` considered.
  std::vector<Error> errors() const;
};

/// Directory that --data-dir names, or its default.
std::string data_dir_of(const Options& options);

/// The settings of the roles as they are before any file or flag.
Config default_config(const Options& options);

/// Defaults, then --config, then --secrets, then flags. With one role the file is that component's
/// configuration, as the reference has it; with several it holds one block per role ("origin:",
/// "build-index:", ...), and a block may itself extend that role's file. What is wrong with single keys is in
/// errors(); the error is for files that cannot be applied at all. Blocks.
Result<Config> read_config(const Options& options, io::Disk& disk);
/// The same, and anything wrong is an error: the first thing, and how many more there are.
Result<Config> load_config(const Options& options, io::Disk& disk);

}  // namespace krakend::daemon
