#pragma once

#include <functional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "krakend/core/log.h"
#include "krakend/http/client.h"
#include "krakend/io/clock.h"
#include "krakend/io/task_group.h"

namespace krakend::origin {

/// Health of the other ring members by GET /health (contract core-formats §12.1): unhealthy after 3 failures
/// in a row, healthy again after 2 successes. New members start healthy. Loop thread.
class RingHealth {
 public:
  struct Services {
    io::Loop& loop;
    io::Clock& clock;
    http::Client& client;
    io::TaskGroup& tasks;
  };
  /// `members` without this origin itself.
  RingHealth(Services services, std::vector<std::string> members, Logger log);

  /// Unknown hosts, so this origin itself, are healthy.
  bool healthy(const std::string& host) const;
  /// Called whenever a host becomes healthy or unhealthy.
  void on_change(std::function<void()> changed) { changed_ = std::move(changed); }
  /// Probes for ever; returns at once when there is nobody to probe.
  Task<> run();

  static constexpr Duration interval = 10s;
  static constexpr Duration timeout = 3s;
  static constexpr unsigned fails = 3;
  static constexpr unsigned passes = 2;

 private:
  struct State {
    bool healthy = true;
    /// Probes in a row that speak against `healthy`.
    unsigned contrary = 0;
  };
  Task<> probe(std::string host);
  void note(const std::string& host, bool passed);

  Services services_;
  const std::vector<std::string> members_;
  Logger log_;
  std::unordered_map<std::string, State> states_;
  std::function<void()> changed_;
};

}  // namespace krakend::origin
