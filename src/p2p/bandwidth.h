#pragma once

#include <algorithm>
#include <cstdint>
#include <utility>

#include "krakend/core/metrics.h"
#include "krakend/core/time.h"
#include "krakend/core/units.h"
#include "krakend/io/clock.h"
#include "krakend/io/task.h"

namespace krakend::p2p {

/// One direction of a host's traffic, held to a rate. Whoever wants to move bytes waits for its turn, first
/// come first served, and comes again with the next few: so all connections get the same, whatever their
/// pieces' sizes. What was not used is lost, but for `credit`. Loop thread.
class Bandwidth {
 public:
  /// Bytes that are asked for at a time.
  static constexpr uint64_t quantum = 128 * KiB;
  static constexpr Duration credit = 20ms;

  /// `waits` counts who has to wait.
  explicit Bandwidth(io::Clock& clock, Counter waits = {}) : clock_(clock), waits_(std::move(waits)) {}
  /// Bytes a second; 0: no limit.
  void set_rate(uint64_t rate) { rate_ = rate; }
  bool limited() const { return rate_ != 0; }

  /// Returns when `bytes` may be moved.
  Task<> acquire(uint64_t bytes);

 private:
  io::Clock& clock_;
  Counter waits_;
  uint64_t rate_ = 0;
  TimePoint free_{};  ///< all that was promised has been moved by then
};

}  // namespace krakend::p2p
