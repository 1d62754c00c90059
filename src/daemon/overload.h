#pragma once

#include <cstdint>
#include <functional>

#include "krakend/core/log.h"
#include "krakend/core/metrics.h"
#include "krakend/core/units.h"
#include "krakend/io/clock.h"
#include "krakend/io/task.h"

namespace krakend::daemon {

/// Watches whether the process can keep up: how late the loop is, and how much memory it has. Loop thread.
class OverloadWatch {
 public:
  /// Between two looks.
  static constexpr Duration interval = 250ms;
  /// The loop is this late: whoever asks waits as long.
  static constexpr Duration latest = 1s;
  /// Looks in a row at which it is: a host that has stood still once is not overloaded.
  static constexpr unsigned late_looks = 2;
  /// Percent of memory_max, and below which it is over.
  static constexpr uint64_t memory_high = 90;
  static constexpr uint64_t memory_low = 80;

  struct Services {
    io::Clock& clock;
    /// Told when there is too much to do, and when that is over.
    std::function<void(bool)> overload;
    Metrics metrics;
  };
  OverloadWatch(Services services, Logger log);
  /// Bytes; 0: what the control group allows, less a tenth. Without either there is no limit.
  void set_memory_max(uint64_t bytes);
  /// Otherwise only the loop is watched.
  void watch_memory(bool on) { watches_memory_ = on; }
  /// Until it is cancelled.
  Task<> run();

  /// One look: the loop was `late`, and the process has `memory` bytes.
  void look(Duration late, uint64_t memory);

 private:
  Services services_;
  Logger log_;
  Gauge lag_;
  Gauge memory_;
  Gauge memory_max_gauge_;
  Gauge overloaded_gauge_;
  uint64_t memory_max_ = 0;
  /// What a crowd has left behind goes back to the system.
  void return_leftovers();
  static constexpr size_t leftovers = 16 * MiB;
  size_t kept_ = 0;  ///< bytes that stayed with the allocator the last time
  bool watches_memory_ = true;
  bool full_ = false;
  unsigned late_ = 0;  ///< looks in a row
  bool overloaded_ = false;
};

}  // namespace krakend::daemon
