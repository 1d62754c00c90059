#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "krakend/core/time.h"
#include "krakend/io/task.h"

namespace krakend::io {

/// A pending callback; destroying or resetting it cancels. Loop thread.
class Timer {
 public:
  class Impl {
   public:
    virtual ~Impl() = default;
  };
  Timer() = default;
  explicit Timer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
  void cancel() { impl_.reset(); }

 private:
  std::unique_ptr<Impl> impl_;
};

class Clock {
 public:
  virtual ~Clock() = default;
  virtual TimePoint now() const = 0;
  virtual std::chrono::system_clock::time_point wall() const = 0;
  /// Calls `fn` once on the loop thread after `delay`, unless the timer is gone by then.
  [[nodiscard]] virtual Timer after(Duration delay, std::function<void()> fn) = 0;
  /// Ends early (with the cancellation exception) when the task's group stops.
  virtual Task<> sleep(Duration delay) = 0;
};

}  // namespace krakend::io
