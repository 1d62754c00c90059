#pragma once

#include <map>
#include <memory>
#include <set>

#include "krakend/core/time.h"
#include "krakend/io/clock.h"
#include "krakend/io/condition.h"
#include "krakend/io/task.h"

namespace krakend::p2p {

/// Whose piece is sent next: few at a time over all connections of a process, the oldest request first. A
/// piece that has the link to itself can be passed on sooner than many that share it. A transfer that takes
/// long, because its receiver is slow, does not hold up others. Loop thread.
class UploadTurns {
 public:
  static constexpr size_t at_a_time = 2;
  /// A transfer that is older does not count.
  static constexpr Duration long_transfer = 1s;

  UploadTurns(io::Loop& loop, io::Clock& clock) : clock_(clock), changed_(loop) {}

  class Turn {
   public:
    Turn(UploadTurns& turns, TimePoint began) : turns_(&turns), began_(began) {}
    Turn(Turn&& other) noexcept : turns_(other.turns_), began_(other.began_) { other.turns_ = nullptr; }
    Turn& operator=(Turn&&) = delete;
    ~Turn() {
      if (turns_ != nullptr) turns_->end(began_);
    }

   private:
    UploadTurns* turns_;
    TimePoint began_;
  };
  /// Waits for the turn of a request that came at `asked`.
  Task<Turn> take(TimePoint asked);
  /// Until nobody has a turn or waits for one, at most for `limit`.
  Task<> wait_idle(Duration limit);

 private:
  bool room() const;
  void end(TimePoint began);

  static constexpr Duration look_again = 100ms;
  io::Clock& clock_;
  std::multiset<TimePoint> waiting_;  ///< by when they were asked for
  std::multiset<TimePoint> running_;  ///< by when they began
  io::Condition changed_;
};

}  // namespace krakend::p2p
