#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "krakend/core/time.h"
#include "krakend/io/clock.h"
#include "krakend/io/loop.h"
#include "sim/event_queue.h"

namespace krakend::sim {

/// Virtual time, and the loop that lives in it. While the loop has something to do no time passes; then time
/// jumps to the next event. Events of one moment happen in the order in which they were made. One thread.
class Timeline {
 public:
  /// Names one pending event.
  struct Id {
    uint32_t slot = 0;
    uint32_t generation = 0;
  };

  /// What many events are alike in.
  struct Kind {
    void (*happen)(void* what);
    /// It is about to happen, with `before` others before it: a hint, for whoever wants to have what it takes
    /// in the cache by then.
    void (*prepare)(const void* what, size_t before);
  };
  static constexpr size_t prepared = 3;  ///< events, the next one included

  Timeline();
  Timeline(const Timeline&) = delete;
  Timeline& operator=(const Timeline&) = delete;

  io::Loop& loop() { return loop_; }
  TimePoint now() const { return now_; }
  /// Since the beginning.
  Duration elapsed() const { return now_ - start; }
  /// Events that have happened.
  uint64_t events() const { return events_; }

  /// Calls `fn` at that moment, or now when it is past; never inside this call.
  Id at(TimePoint when, std::function<void()> fn);
  Id after(Duration delay, std::function<void()> fn) { return at(now_ + delay, std::move(fn)); }
  /// `what` happens then. There are many of these, so they are cheap, and cannot be cancelled. `kind` stays.
  void happen_at(TimePoint when, const Kind& kind, void* what) {
    queue_.push({std::max(when, now_), made_++, &kind, what});
  }
  /// Nothing happens when it has happened already.
  void cancel(Id id);

  /// Time that the offloaded work which runs right now takes on its device or processor.
  void spend(Duration cost) { cost_ += cost; }
  /// What each offloaded piece of work takes besides.
  void set_offload_cost(Duration cost) { offload_cost_ = cost; }

  /// Lets the loop do what it has to, then the events of the next moment happen. False: nothing is left to
  /// wait for.
  bool step();
  /// Until `done`, which is asked after every step. False: `limit` (virtual) was reached, or nothing is left.
  bool run_until(const std::function<bool()>& done, Duration limit);

  static constexpr TimePoint start{1h};

 private:
  struct Slot {
    std::function<void()> fn;
    uint32_t generation = 0;
  };
  struct Entry {
    TimePoint at;
    uint64_t number;
    const Kind* kind;
    void* what;  ///< without a kind: the slot, as pack() makes it
    bool operator>(const Entry& other) const {
      return at != other.at ? at > other.at : number > other.number;
    }
  };

  /// Until nothing is ready.
  void drain();
  void offload(std::function<void()> work, std::function<void()> done);
  bool pending(Id id) const { return slots_[id.slot].generation == id.generation; }
  std::function<void()> take(Id id);
  void prepare_next() const;
  static void* pack(Id id);
  static Id unpack(const void* what);
  bool cancelled(const Entry& entry) const { return entry.kind == nullptr && !pending(unpack(entry.what)); }

  EventQueue<Entry> queue_;
  std::vector<Slot> slots_;
  std::vector<uint32_t> free_;
  TimePoint now_ = start;
  uint64_t made_ = 0;
  uint64_t events_ = 0;
  Duration cost_{0};
  Duration offload_cost_{0};
  io::Loop loop_;
};

/// One host's view of the time. Its wall clock may be off.
class SimClock final : public io::Clock {
 public:
  explicit SimClock(Timeline& time) : time_(time) {}
  TimePoint now() const override { return time_.now(); }
  std::chrono::system_clock::time_point wall() const override;
  [[nodiscard]] io::Timer after(Duration delay, std::function<void()> fn) override;
  Task<> sleep(Duration delay) override;
  /// Somebody sets the wall clock.
  void step_wall(Duration by) { wall_ahead_ += by; }

 private:
  Timeline& time_;
  Duration wall_ahead_{0};
};

}  // namespace krakend::sim
