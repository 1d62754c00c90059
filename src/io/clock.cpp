#include <asio/steady_timer.hpp>
#include <asio/use_awaitable.hpp>

#include "krakend/io/system.h"

namespace krakend::io {
namespace {

class SystemTimer final : public Timer::Impl {
 public:
  SystemTimer(Loop& loop, Duration delay, std::function<void()> fn)
      : timer_(loop.executor(), std::chrono::duration_cast<asio::steady_timer::duration>(delay)) {
    // The callback may already be queued when the timer is destroyed: the flag keeps it from running then.
    timer_.async_wait([alive = alive_, fn = std::move(fn)](const asio::error_code& error) {
      if (!error && *alive) fn();
    });
  }
  SystemTimer(const SystemTimer&) = delete;
  SystemTimer& operator=(const SystemTimer&) = delete;
  ~SystemTimer() override { *alive_ = false; }

 private:
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  asio::steady_timer timer_;
};

class SystemClock final : public Clock {
 public:
  explicit SystemClock(Loop& loop) : loop_(loop) {}
  TimePoint now() const override { return std::chrono::steady_clock::now(); }
  std::chrono::system_clock::time_point wall() const override { return std::chrono::system_clock::now(); }
  Timer after(Duration delay, std::function<void()> fn) override {
    return Timer(std::make_unique<SystemTimer>(loop_, delay, std::move(fn)));
  }
  Task<> sleep(Duration delay) override {
    asio::steady_timer timer(loop_.executor(),
                             std::chrono::duration_cast<asio::steady_timer::duration>(delay));
    co_await timer.async_wait(asio::use_awaitable);
  }

 private:
  Loop& loop_;
};

}  // namespace

std::unique_ptr<Clock> make_system_clock(Loop& loop) {
  return std::make_unique<SystemClock>(loop);
}

}  // namespace krakend::io
