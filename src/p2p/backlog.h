#pragma once

#include <algorithm>
#include <cstdint>

#include "krakend/io/condition.h"
#include "p2p/message.h"
#include "p2p/peak_rate.h"

namespace krakend::p2p {

/// What one process has to send, over all its connections, and how fast it can: its Load. Loop thread; time
/// is an argument.
class Backlog {
 public:
  explicit Backlog(io::Loop& loop) : changed_(loop) {}

  void asked_for(uint64_t bytes) { change(queued_ + bytes); }
  /// Taken back, or its connection has gone.
  void dropped(uint64_t bytes) { change(queued_ - std::min(queued_, bytes)); }
  void sent(uint64_t bytes, TimePoint now);

  Load load() const { return {queued_, static_cast<uint64_t>(capacity_)}; }
  /// Bytes; 0 while our rate is not known.
  uint64_t leaves_in(double seconds) const { return static_cast<uint64_t>(capacity_ * seconds); }
  /// Whether what is being sent leaves much of the link free: its receivers are slower than we are.
  bool has_spare(TimePoint now) const;
  /// Returns when the load changes next.
  Task<> changed() { co_await changed_.wait(); }
  /// Returns when nothing is left to send, at the latest after `limit`.
  Task<> drained(io::Clock& clock, Duration limit);

 private:
  /// Over which the present rate is smoothed.
  static constexpr Duration smoothing = 100ms;
  /// Of the capacity; less is a link that has room.
  static constexpr double well_used = 0.7;
  /// A window in which there was always something to send, and less was sent, is believed this much.
  static constexpr double kept_when_slower = 0.9;

  void change(uint64_t queued);
  double present_rate(TimePoint now) const;

  uint64_t queued_ = 0;
  PeakRate peak_;
  double capacity_ = 0;  ///< bytes a second; 0: not known
  double smoothed_ = 0;  ///< bytes a second, at `last_sent_`
  TimePoint last_sent_{};
  TimePoint window_start_{};
  bool was_idle_ = false;  ///< since window_start_
  io::Condition changed_;
};

}  // namespace krakend::p2p
