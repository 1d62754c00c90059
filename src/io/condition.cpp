#include "krakend/io/condition.h"

#include <asio/associated_cancellation_slot.hpp>
#include <asio/async_result.hpp>
#include <asio/cancellation_type.hpp>
#include <asio/error.hpp>
#include <asio/use_awaitable.hpp>

namespace krakend::io {

/// One suspended coroutine. It is resumed exactly once, from a posted function, never inside notify or
/// cancel.
struct Condition::Waiter {
  virtual ~Waiter() = default;
  virtual void resume(asio::error_code error) = 0;
  bool done = false;
  bool timed_out = false;
};

namespace {

template <class Handler, class Base>
struct HandlerWaiter final : Base {
  explicit HandlerWaiter(Handler&& h) : handler(std::move(h)) {}
  void resume(asio::error_code error) override { std::move(handler)(error); }
  Handler handler;
};

}  // namespace

Condition::~Condition() = default;

void Condition::notify_all() {
  for (auto& waiter : std::exchange(waiters_, {})) {
    if (std::exchange(waiter->done, true)) continue;
    loop_.post([waiter] { waiter->resume({}); });
  }
}

Task<> Condition::wait() {
  const auto initiate = [this](auto handler) {
    using Handler = decltype(handler);
    auto slot = asio::get_associated_cancellation_slot(handler);
    std::shared_ptr<Waiter> waiter = std::make_shared<HandlerWaiter<Handler, Waiter>>(std::move(handler));
    const auto place = waiters_.insert(waiters_.end(), waiter);
    if (!slot.is_connected()) return;
    slot.assign([this, weak = std::weak_ptr<Waiter>(waiter), place](asio::cancellation_type) {
      const auto cancelled = weak.lock();
      if (!cancelled || std::exchange(cancelled->done, true)) return;
      waiters_.erase(place);
      loop_.post([cancelled] { cancelled->resume(asio::error::operation_aborted); });
    });
  };
  co_await asio::async_initiate<const asio::use_awaitable_t<>, void(asio::error_code)>(initiate,
                                                                                       asio::use_awaitable);
}

Task<bool> Condition::wait_for(Clock& clock, Duration limit) {
  // The timer wakes everybody; the others look at their condition again and go on waiting.
  bool expired = false;
  auto timer = clock.after(limit, [this, &expired] {
    expired = true;
    notify_all();
  });
  co_await wait();
  co_return !expired;
}

}  // namespace krakend::io
