#include "sim/timeline.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "krakend/io/condition.h"

namespace krakend::sim {
namespace {

/// Handlers that may run without any time passing: more is a loop that waits for nothing.
constexpr uint64_t most_at_once = 5'000'000;
/// The wall clock at the beginning: 2026-01-01 00:00 UTC.
constexpr std::chrono::sys_days first_day{std::chrono::year(2026) / 1 / 1};

}  // namespace

Timeline::Timeline()
    : loop_(io::LoopOptions{0, [this](std::function<void()> work, std::function<void()> done) {
                              offload(std::move(work), std::move(done));
                            }}) {}

Timeline::Id Timeline::at(TimePoint when, std::function<void()> fn) {
  uint32_t slot = 0;
  if (free_.empty()) {
    slot = static_cast<uint32_t>(slots_.size());
    slots_.emplace_back();
  } else {
    slot = free_.back();
    free_.pop_back();
  }
  slots_[slot].fn = std::move(fn);
  const Id id{slot, slots_[slot].generation};
  queue_.push({std::max(when, now_), made_++, nullptr, pack(id)});
  return id;
}

void* Timeline::pack(Id id) {
  static_assert(sizeof(Id) == sizeof(void*));
  return std::bit_cast<void*>(id);
}

Timeline::Id Timeline::unpack(const void* what) {
  return std::bit_cast<Id>(what);
}

void Timeline::cancel(Id id) {
  if (pending(id)) (void)take(id);
}

std::function<void()> Timeline::take(Id id) {
  Slot& slot = slots_[id.slot];
  ++slot.generation;
  free_.push_back(id.slot);
  return std::exchange(slot.fn, nullptr);
}

void Timeline::offload(std::function<void()> work, std::function<void()> done) {
  loop_.post([this, work = std::move(work), done = std::move(done)]() mutable {
    cost_ = offload_cost_;
    work();
    const Duration cost = std::exchange(cost_, Duration{0});
    if (cost == Duration{0})
      loop_.post(std::move(done));
    else
      after(cost, std::move(done));
  });
}

void Timeline::drain() {
  uint64_t ran = 0;
  while (const size_t now = loop_.poll()) {
    ran += now;
    if (ran < most_at_once) continue;
    std::fprintf(stderr, "sim: the loop does not come to rest at %.6f s\n", to_seconds(elapsed()));
    std::abort();
  }
}

void Timeline::prepare_next() const {
  for (size_t before = 0; before < prepared; ++before) {
    const Entry* entry = queue_.ahead(before);
    if (entry == nullptr) return;
    if (entry->kind != nullptr)
      entry->kind->prepare(entry->what, before);
    else if (before == 1)
      __builtin_prefetch(&slots_[unpack(entry->what).slot]);
  }
}

bool Timeline::step() {
  drain();
  while (!queue_.empty() && cancelled(queue_.front())) (void)queue_.pop();
  if (queue_.empty()) return false;
  now_ = queue_.front().at;
  while (!queue_.empty() && queue_.front().at <= now_) {
    const Entry entry = queue_.pop();
    if (cancelled(entry)) continue;
    ++events_;
    prepare_next();
    if (entry.kind != nullptr)
      entry.kind->happen(entry.what);
    else
      take(unpack(entry.what))();
  }
  return true;
}

bool Timeline::run_until(const std::function<bool()>& done, Duration limit) {
  const TimePoint end = now_ + limit;
  drain();
  while (!done()) {
    if (!step()) return false;
    drain();
    if (now_ > end) return done();
  }
  return true;
}

std::chrono::system_clock::time_point SimClock::wall() const {
  return first_day +
         std::chrono::duration_cast<std::chrono::system_clock::duration>(time_.elapsed() + wall_ahead_);
}

namespace {

class SimTimer final : public io::Timer::Impl {
 public:
  SimTimer(Timeline& time, Timeline::Id id) : time_(time), id_(id) {}
  SimTimer(const SimTimer&) = delete;
  SimTimer& operator=(const SimTimer&) = delete;
  ~SimTimer() override { time_.cancel(id_); }

 private:
  Timeline& time_;
  Timeline::Id id_;
};

}  // namespace

io::Timer SimClock::after(Duration delay, std::function<void()> fn) {
  return io::Timer(std::make_unique<SimTimer>(time_, time_.after(delay, std::move(fn))));
}

Task<> SimClock::sleep(Duration delay) {
  io::Condition never(time_.loop());
  (void)co_await never.wait_for(*this, delay);
}

}  // namespace krakend::sim
