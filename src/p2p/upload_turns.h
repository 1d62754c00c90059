#pragma once

#include <map>
#include <optional>
#include <utility>

#include "krakend/core/metrics.h"
#include "krakend/core/time.h"
#include "krakend/io/clock.h"
#include "krakend/io/condition.h"
#include "p2p/backlog.h"

namespace krakend::p2p {

/// Whose piece is sent next: few at a time over all connections of a process, the oldest request first. A
/// piece that has the link to itself can be passed on sooner than many that share it. Where the receivers are
/// slower than the link, because others send to them as well, more are served, so that none of it lies idle.
/// Loop thread.
class UploadTurns {
  using Running = std::multimap<TimePoint, size_t>;

 public:
  static constexpr size_t at_a_time = 5;
  static constexpr size_t at_most = 16;
  /// In place of a time, for a piece of a receiver that has nothing yet: it goes before all others, and
  /// counts as so many of them. Its link out lies idle until the piece is whole. More would leave our link
  /// idle as often as its own link in is the slower one.
  static constexpr TimePoint newcomer{};
  static constexpr size_t newcomer_counts = 3;
  /// A transfer that is older does not count.
  static constexpr Duration long_transfer = 1s;
  /// Who waits in line looks again after this: nothing tells that a link is not used well.
  static constexpr Duration look_again = 50ms;

  /// `waits` counts the pieces that have to wait.
  UploadTurns(io::Clock& clock, const Backlog& backlog, Counter waits = {})
      : clock_(clock), backlog_(backlog), waits_(std::move(waits)) {}
  /// A piece has to wait; told once of each.
  void count_wait() const { waits_.add(); }
  size_t running() const { return running_.size(); }
  size_t waiting() const { return waiting_.size(); }

  /// A transfer that is going on, until it is destroyed.
  class Turn {
   public:
    Turn(UploadTurns& turns, Running::iterator at) : turns_(&turns), at_(at) {}
    Turn(Turn&& other) noexcept : turns_(other.turns_), at_(other.at_) { other.turns_ = nullptr; }
    Turn& operator=(Turn&&) = delete;
    ~Turn() {
      if (turns_ != nullptr) turns_->end(at_);
    }

   private:
    UploadTurns* turns_;
    Running::iterator at_;
  };

  /// A place in the line, until it is destroyed. Whoever waits in it is free to do other things meanwhile.
  class Place {
   public:
    /// `asked`: when the request came, or `newcomer`. `wake` is notified when a turn may be had.
    Place(UploadTurns& turns, TimePoint asked, io::Condition& wake);
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    ~Place();
    /// nullopt: not yet.
    std::optional<Turn> take();

   private:
    UploadTurns& turns_;
    std::multimap<TimePoint, io::Condition*>::iterator at_;
  };

 private:
  bool room() const;
  void end(Running::iterator transfer);
  void call_next();

  io::Clock& clock_;
  const Backlog& backlog_;
  Counter waits_;
  std::multimap<TimePoint, io::Condition*> waiting_;  ///< by when they were asked for
  Running running_;                                   ///< by when they began; as how many each counts
};

}  // namespace krakend::p2p
