#pragma once

#include <asio/any_io_executor.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "krakend/io/task.h"
#include "krakend/io/workers.h"

namespace krakend::io {

struct LoopOptions {
  /// Threads for disk, hashing and moving bytes. 0: offloaded work runs on the loop thread (simulation).
  unsigned pool_threads = 8;
  /// Stands in for the pool: runs `work`, and then, maybe later, `done`, both on the loop thread and never
  /// inside the call. So work can take time that nobody spends.
  std::function<void(std::function<void()> work, std::function<void()> done)> pool = {};
};

/// The event loop of the process: one thread owns all domain state, a small pool does what blocks or
/// computes. Everything is for the loop thread unless it says otherwise.
class Loop {
 public:
  explicit Loop(LoopOptions options = {});
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  /// Joins the pool. Tasks must have ended before.
  ~Loop();

  /// Runs until stop(). The calling thread is the loop thread.
  void run();
  /// Runs whatever is ready, up to a limit, and returns how many handlers that were; for tests and
  /// simulation.
  size_t poll();
  /// Any thread.
  void stop();
  /// Any thread: runs `fn` on the loop thread soon, never inside this call.
  void post(std::function<void()> fn);
  bool on_loop_thread() const;

  /// Something has ended without which the process is of no use. Goes to whoever asked with on_failure().
  void fail(const std::string& reason);
  void on_failure(std::function<void(const std::string&)> told);

  /// Runs `fn` on the pool and resumes on the loop thread with its value. `fn` must not throw, and must not
  /// touch domain state that the loop thread may use meanwhile. It runs to its end even when the task is
  /// cancelled, so whatever it refers to lives in the awaiting coroutine's frame: capture by reference, or
  /// `this` of what the frame keeps alive. g++ 12 destroys the captures of a temporary lambda in a co_await
  /// expression twice, so captures that own something do not compile.
  template <class F>
  Task<std::invoke_result_t<F>> offload(F fn);
  /// The same on the threads of `workers`.
  template <class F>
  Task<std::invoke_result_t<F>> offload_to(Workers& workers, F fn);

  asio::any_io_executor executor() const;

 private:
  Workers* pool() const;
  /// Null workers: the job is posted to the loop itself. Resumes on the loop thread.
  Task<> run_elsewhere(Workers* workers, std::function<void()> job);

  struct Impl;
  std::unique_ptr<Impl> impl_;
};

template <class F>
Task<std::invoke_result_t<F>> Loop::offload(F fn) {
  static_assert(std::is_trivially_destructible_v<F>, "capture by reference: see offload()");
  if constexpr (std::is_void_v<std::invoke_result_t<F>>) {
    co_await run_elsewhere(pool(), [&fn]() noexcept { fn(); });
  } else {
    std::optional<std::invoke_result_t<F>> value;
    co_await run_elsewhere(pool(), [&fn, &value]() noexcept { value.emplace(fn()); });
    co_return std::move(*value);
  }
}

template <class F>
Task<std::invoke_result_t<F>> Loop::offload_to(Workers& workers, F fn) {
  static_assert(std::is_trivially_destructible_v<F>, "capture by reference: see offload()");
  std::optional<std::invoke_result_t<F>> value;
  co_await run_elsewhere(&workers, [&fn, &value]() noexcept { value.emplace(fn()); });
  co_return std::move(*value);
}

}  // namespace krakend::io
