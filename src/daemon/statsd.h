#pragma once

#include <memory>
#include <string>

#include "krakend/core/log.h"
#include "krakend/core/metrics.h"
#include "krakend/io/clock.h"
#include "krakend/io/loop.h"
#include "krakend/io/system.h"

namespace krakend::daemon {

/// Sends the numbers of one role that the reference has a name for, once a second, as the reference does
/// (contract config-ops §10.1): counters by how much they grew, gauges when they were set.
class StatsdReporter {
 public:
  struct Services {
    io::Loop& loop;
    io::Clock& clock;
    Metrics metrics;  ///< of the role
  };
  /// `target`: "host:port". An empty prefix leaves the names as they are.
  StatsdReporter(Services services, std::string target, std::string prefix, Logger log);
  /// Until it is cancelled.
  Task<> run();

 private:
  void report(io::DatagramSender& sender) const;

  static constexpr Duration interval = 1s;
  static constexpr Duration retry_interval = 30s;
  static constexpr size_t max_packet = 512;  ///< bytes

  Services services_;
  const std::string target_;
  const std::string prefix_;
  Logger log_;
};

}  // namespace krakend::daemon
