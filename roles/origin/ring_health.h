#pragma once

#include <functional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "krakend/cluster/hosts.h"
#include "krakend/core/log.h"
#include "krakend/http/client.h"
#include "krakend/io/clock.h"
#include "krakend/io/task_group.h"

namespace krakend::origin {

struct RingHealthOptions {
  Duration interval = 10s;
  Duration timeout = 3s;
  unsigned fails = 3;   ///< in a row, until a host is unhealthy
  unsigned passes = 2;  ///< in a row, until it is healthy again
};

/// Health of the other ring members by GET /health (contract core-formats §12.1). New members start healthy.
/// Loop thread.
class RingHealth {
 public:
  struct Services {
    io::Loop& loop;
    io::Clock& clock;
    http::Client& client;
    io::TaskGroup& tasks;
  };
  /// `self` is not probed.
  RingHealth(Services services, cluster::Hosts members, std::string self, RingHealthOptions options,
             Logger log);

  /// Unknown hosts, so this origin itself, are healthy.
  bool healthy(const std::string& host) const;
  /// Called whenever a host becomes healthy or unhealthy.
  void on_change(std::function<void()> changed) { changed_ = std::move(changed); }
  /// Probes until it is cancelled.
  Task<> run();

 private:
  struct State {
    bool healthy = true;
    /// Probes in a row that speak against `healthy`.
    unsigned contrary = 0;
  };
  Task<> probe(std::string host);
  void note(const std::string& host, bool passed);

  Services services_;
  const cluster::Hosts members_;
  const std::string self_;
  const RingHealthOptions options_;
  Logger log_;
  std::unordered_map<std::string, State> states_;
  std::function<void()> changed_;
};

}  // namespace krakend::origin
