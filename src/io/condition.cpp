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

void Condition::Waiter::resume_soon(asio::error_code error) && {
  // Whoever cancels the task from here on must not look for it in a list that may be gone.
  if (auto slot = asio::get_associated_cancellation_slot(handler); slot.is_connected()) slot.clear();
  const auto executor = asio::get_associated_executor(handler);
  asio::post(executor, [waiting = std::move(handler), error]() mutable { std::move(waiting)(error); });
}

/// Not a coroutine itself: with thousands of connections that wait, each frame counts.
Task<> Condition::suspend(uint64_t number) {
  assert(loop_.on_loop_thread());
  const auto initiate = [this, number](Waiter::Handler handler) {
    auto slot = asio::get_associated_cancellation_slot(handler);
    if (!first_ && others_.empty())
      first_.emplace(Waiter{number, std::move(handler)});
    else
      others_.push_back(Waiter{number, std::move(handler)});
    if (!slot.is_connected()) return;
    slot.assign([this, number](asio::cancellation_type) { end(number, asio::error::operation_aborted); });
  };
  return asio::async_initiate<const asio::use_awaitable_t<>, void(asio::error_code)>(initiate,
                                                                                     asio::use_awaitable);
}

bool Condition::end(uint64_t number, asio::error_code error) {
  if (first_ && first_->number == number) {
    std::move(*std::exchange(first_, std::nullopt)).resume_soon(error);
    return true;
  }
  const auto found = std::find_if(others_.begin(), others_.end(),
                                  [number](const Waiter& waiter) { return waiter.number == number; });
  if (found == others_.end()) return false;
  std::move(*found).resume_soon(error);
  others_.erase(found);
  return true;
}

Condition::~Condition() = default;

void Condition::notify_all() {
  // Nothing of a task runs in here, so nobody joins the list meanwhile.
  if (first_) std::move(*std::exchange(first_, std::nullopt)).resume_soon({});
  for (Waiter& waiter : others_) std::move(waiter).resume_soon({});
  others_.clear();
}

Task<> Condition::wait() {
  return suspend(++last_number_);
}

Task<bool> Condition::wait_for(Clock& clock, Duration limit) {
  const uint64_t number = ++last_number_;
  bool expired = false;
  const auto timer = clock.after(limit, [this, number, &expired] { expired = end(number, {}); });
  co_await suspend(number);
  co_return !expired;
}

}  // namespace krakend::io
