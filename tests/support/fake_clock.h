#pragma once

#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include "krakend/io/clock.h"

namespace krakend::test {

/// Time that passes only by sleeping: a sleep returns at once and moves the clock, so that polling with long
/// pauses is tested in no time. Timers of after() fire when a sleep or advance() passes them.
class FakeClock final : public io::Clock {
 public:
  TimePoint now() const override { return now_; }
  std::chrono::system_clock::time_point wall() const override {
    return std::chrono::system_clock::time_point(
        std::chrono::duration_cast<std::chrono::system_clock::duration>(now_.time_since_epoch() +
                                                                        wall_ahead));
  }
  io::Timer after(Duration delay, std::function<void()> fn) override {
    auto pending = std::make_shared<Pending>(Pending{now_ + delay, std::move(fn)});
    timers_.push_back(pending);
    return io::Timer(std::make_unique<Handle>(pending));
  }
  Task<> sleep(Duration delay) override {
    pauses.push_back(delay);
    advance(delay);
    co_return;
  }
  void advance(Duration by) {
    now_ += by;
    std::vector<std::shared_ptr<Pending>> due;
    std::erase_if(timers_, [&](const std::weak_ptr<Pending>& weak) {
      auto timer = weak.lock();
      if (timer && timer->at > now_) return false;
      if (timer) due.push_back(std::move(timer));
      return true;
    });
    for (const auto& timer : due) timer->fn();
  }

  /// Somebody has set the wall clock.
  Duration wall_ahead{0};
  /// Every sleep so far.
  std::vector<Duration> pauses;

 private:
  struct Pending {
    TimePoint at;
    std::function<void()> fn;
  };
  struct Handle final : io::Timer::Impl {
    explicit Handle(std::shared_ptr<Pending> p) : pending(std::move(p)) {}
    std::shared_ptr<Pending> pending;
  };
  TimePoint now_{1h};
  std::vector<std::weak_ptr<Pending>> timers_;
};

}  // namespace krakend::test
