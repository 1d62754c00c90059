#pragma once

#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "krakend/core/digest.h"
#include "krakend/core/log.h"
#include "krakend/core/time.h"
#include "krakend/http/client.h"
#include "krakend/io/clock.h"
#include "krakend/io/condition.h"
#include "krakend/io/net.h"
#include "krakend/io/random.h"
#include "krakend/io/task_group.h"

namespace krakend::cluster {

/// Health from the callers' own failures (contract core-formats §12.2): `fails` network errors within
/// `fail_timeout` take a host out for `fail_timeout`. If all are out, all are used. Loop thread.
class PassiveHealth {
 public:
  PassiveHealth(io::Clock& clock, unsigned fails, Duration fail_timeout);
  ~PassiveHealth();
  void failed(const std::string& host);
  bool healthy(const std::string& host) const;
  /// The healthy ones of `hosts`, or all when none is.
  std::vector<std::string> filter(const std::vector<std::string>& hosts) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// An upstream as it is configured (contract core-formats §11).
struct HostsOptions {
  HostsOptions() = default;
  HostsOptions(std::vector<std::string> hosts) : fixed(std::move(hosts)) {}
  HostsOptions(std::initializer_list<std::string> hosts) : fixed(hosts) {}
  bool empty() const { return fixed.empty() && dns.empty(); }
  bool operator==(const HostsOptions&) const = default;

  std::vector<std::string> fixed;  ///< static: "host:port" each
  std::string dns;                 ///< "name:port": all addresses of the name, with that port
  Duration ttl = 5s;               ///< how long an answer of the name server is used
};

/// The hosts of an upstream, in no order; copies share the list. Loop thread.
class Hosts {
 public:
  Hosts(std::vector<std::string> hosts);
  Hosts(std::initializer_list<std::string> hosts) : Hosts(std::vector<std::string>(hosts)) {}
  const std::vector<std::string>& list() const { return state_->hosts; }
  bool contains(const std::string& host) const;
  /// Called whenever the list has become another one. Whoever registers it lives as long as the list is set.
  void on_change(std::function<void()> changed) const { state_->watchers.push_back(std::move(changed)); }
  void set(std::vector<std::string> hosts) const;

 private:
  struct State {
    std::vector<std::string> hosts;
    std::vector<std::function<void()>> watchers;
  };
  std::shared_ptr<State> state_;
};

/// Keeps a list of hosts as the name server has it. A list that was known once never becomes empty: while the
/// name server does not answer, the last answer holds. Loop thread.
class HostWatch {
 public:
  HostWatch(io::Loop& loop, io::Net& net, io::Clock& clock, HostsOptions options, Logger log);
  const Hosts& hosts() const { return hosts_; }
  /// Asks the name server now; fixed lists are left alone.
  Task<Result<void>> refresh();
  /// Other hosts from now on; those of another name once the name server has answered.
  void configure(const HostsOptions& options);
  /// Refreshes until it is cancelled.
  Task<> run();

 private:
  static constexpr Duration resolve_timeout = 5s;
  io::Net& net_;
  io::Clock& clock_;
  HostsOptions options_;
  Hosts hosts_;
  Logger log_;
  io::Condition configured_;
  bool failing_ = false;
};

/// Rendezvous ring over host labels ("host:port" exactly as configured: origins compare them with their own
/// name), all of weight 100 (contract core-formats §10).
class HashRing {
 public:
  using HealthFn = std::function<bool(const std::string&)>;
  HashRing(Hosts members, unsigned max_replica, HealthFn healthy);
  /// Owners, best first: the healthy ones among the first max_replica; if none of these is, the next healthy
  /// one; if no member is healthy, the top one. Never empty for a non-empty ring.
  std::vector<std::string> locations(const Digest& digest) const;
  bool contains(const std::string& host) const { return members_.contains(host); }
  const std::vector<std::string>& members() const { return members_.list(); }

 private:
  Hosts members_;
  unsigned max_replica_;
  HealthFn healthy_;
};

}  // namespace krakend::cluster
