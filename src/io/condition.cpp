#include "krakend/io/condition.h"

#include <algorithm>
#include <asio/associated_cancellation_slot.hpp>
#include <asio/associated_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/cancellation_type.hpp>
#include <asio/error.hpp>
#include <asio/post.hpp>
#include <asio/use_awaitable.hpp>
#include <cassert>
#include <utility>

namespace krakend::io {

/// One suspended coroutine. Notified, cancelled or timed out, whichever comes first resumes it exactly once,
/// later, on the task's own executor, which may carry a trace.
struct Condition::Waiter {
  virtual ~Waiter() = default;
  virtual void resume_soon(asio::error_code error) = 0;

  /// Suspends the caller; `self`, if any, is for who wants to end() the wait.
  static Task<> suspend(Condition& condition, std::weak_ptr<Waiter>* self);
  /// False when the waiter is on its way already.
  static bool end(Condition& condition, const std::shared_ptr<Waiter>& waiter, asio::error_code error);

  bool done = false;
};

namespace {

template <class Handler, class Base>
struct HandlerWaiter final : Base {
  explicit HandlerWaiter(Handler&& h) : handler(std::move(h)) {}
  void resume_soon(asio::error_code error) override {
    const auto executor = asio::get_associated_executor(handler);
    asio::post(executor, [waiting = std::move(handler), error]() mutable { std::move(waiting)(error); });
  }
  Handler handler;
};

}  // namespace

/// Not a coroutine itself: with thousands of connections that wait, each frame counts.
Task<> Condition::Waiter::suspend(Condition& condition, std::weak_ptr<Waiter>* self) {
  assert(condition.loop_.on_loop_thread());
  const auto initiate = [&condition, self](auto handler) {
    using Handler = decltype(handler);
    auto slot = asio::get_associated_cancellation_slot(handler);
    std::shared_ptr<Waiter> waiter = std::make_shared<HandlerWaiter<Handler, Waiter>>(std::move(handler));
    if (self != nullptr) *self = waiter;
    condition.waiters_.push_back(waiter);
    if (!slot.is_connected()) return;
    slot.assign([&condition, weak = std::weak_ptr<Waiter>(waiter)](asio::cancellation_type) {
      if (const auto cancelled = weak.lock()) end(condition, cancelled, asio::error::operation_aborted);
    });
  };
  return asio::async_initiate<const asio::use_awaitable_t<>, void(asio::error_code)>(initiate,
                                                                                     asio::use_awaitable);
}

bool Condition::Waiter::end(Condition& condition, const std::shared_ptr<Waiter>& waiter,
                            asio::error_code error) {
  if (std::exchange(waiter->done, true)) return false;
  auto& waiters = condition.waiters_;
  waiters.erase(std::find(waiters.begin(), waiters.end(), waiter));
  waiter->resume_soon(error);
  return true;
}

Condition::~Condition() = default;

void Condition::notify_all() {
  // Nothing of a coroutine runs in here, so nobody joins the list meanwhile.
  for (const auto& waiter : waiters_) {
    waiter->done = true;
    waiter->resume_soon({});
  }
  waiters_.clear();
}

Task<> Condition::wait() {
  return Waiter::suspend(*this, nullptr);
}

Task<bool> Condition::wait_for(Clock& clock, Duration limit) {
  std::weak_ptr<Waiter> weak;
  bool expired = false;
  const auto timer = clock.after(limit, [this, &weak, &expired] {
    if (const auto waiter = weak.lock()) expired = Waiter::end(*this, waiter, {});
  });
  co_await Waiter::suspend(*this, &weak);
  co_return !expired;
}

}  // namespace krakend::io
