#pragma once

#include <asio/any_io_executor.hpp>
#include <asio/error_code.hpp>
#include <asio/use_awaitable.hpp>
#include <cstdint>
#include <list>
#include <optional>

#include "krakend/io/clock.h"
#include "krakend/io/loop.h"
#include "krakend/io/task.h"

namespace krakend::io {

/// A condition variable of the loop thread: wait() resumes at the next notify_all(). Waiters re-check what
/// they wait for. Must outlive its waiters.
class Condition {
 public:
  explicit Condition(Loop& loop) : loop_(loop) {}
  Condition(const Condition&) = delete;
  Condition& operator=(const Condition&) = delete;
  ~Condition();

  void notify_all();
  Task<> wait();
  /// False when `limit` passed first.
  Task<bool> wait_for(Clock& clock, Duration limit);

 private:
  /// One suspended task. Notified, cancelled or timed out, whichever comes first takes it off the list and
  /// resumes it, later, on its own executor, which may carry a trace.
  struct Waiter {
    using Handler = asio::async_result<asio::use_awaitable_t<>, void(asio::error_code)>::handler_type;
    uint64_t number;
    Handler handler;
    void resume_soon(asio::error_code error) &&;
  };

  Task<> suspend(uint64_t number);
  /// False when the waiter is on its way already.
  bool end(uint64_t number, asio::error_code error);

  [[maybe_unused]] Loop& loop_;  ///< whose thread all this is for
  uint64_t last_number_ = 0;
  std::optional<Waiter> first_;  ///< mostly there is just one, and with thousands of connections it counts
  std::list<Waiter> others_;
};

}  // namespace krakend::io
