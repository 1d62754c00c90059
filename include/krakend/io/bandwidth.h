#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <utility>

#include "krakend/core/metrics.h"
#include "krakend/core/time.h"
#include "krakend/core/units.h"
#include "krakend/io/clock.h"
#include "krakend/io/task.h"

namespace krakend::io {

/// Whose bytes they are, the first the most urgent.
enum class Traffic {
  pull,         ///< a client waits for them
  seeding,      ///< for other peers
  preheat,      ///< a blob that nobody reads at the moment
  replication,  ///< copies between origins
};

/// One direction of a host's traffic, held to a rate. Whoever wants to move bytes waits for its turn, first
/// come first served, and comes again with the next few: so all connections get the same, whatever their
/// pieces' sizes. While something more urgent moves, the others get their share of the rate, and what that
/// leaves. What was not used is lost, but for `credit`. Loop thread.
class Bandwidth {
 public:
  /// Bytes that are asked for at a time.
  static constexpr uint64_t quantum = 128 * KiB;
  static constexpr Duration credit = 20ms;
  /// Of the rate, by Traffic, while something more urgent moves.
  static constexpr std::array<double, 4> shares{1, 0.5, 0.2, 0.1};
  /// What has not moved for so long is over.
  static constexpr Duration active_for = 200ms;
  /// Between two looks at whether the more urgent leave something.
  static constexpr Duration look_again = 2ms;

  /// `waits` counts who has to wait.
  explicit Bandwidth(Clock& clock, Counter waits = {}) : clock_(clock), waits_(std::move(waits)) {}
  /// Bytes a second; 0: no limit.
  void set_rate(uint64_t rate) { rate_ = rate; }
  bool limited() const { return rate_ != 0; }

  /// Returns when `bytes` may be moved.
  Task<> acquire(uint64_t bytes, Traffic traffic);

 private:
  Clock& clock_;
  Counter waits_;
  uint64_t rate_ = 0;
  /// Until when everything that was promised has been moved.
  TimePoint free_{};
  struct Class {
    TimePoint last{};  ///< asked
    TimePoint free{};  ///< as free_, at the rate of its share
  };
  std::array<Class, shares.size()> classes_{};

  Duration time_of(uint64_t bytes, double share) const;
  bool is_pressed(size_t index, TimePoint now) const;
  Task<> wait_for_share(size_t index, uint64_t bytes);
};

}  // namespace krakend::io
