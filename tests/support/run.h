#pragma once

#include <asio/co_spawn.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>
#include <thread>
#include <type_traits>

#include "krakend/io/loop.h"
#include "krakend/io/task.h"

namespace krakend::test {

/// A test that waits longer than this for one task hangs: it is ended with a message.
inline constexpr std::chrono::seconds run_limit{60};

/// Drives the loop until `task` has ended, and returns its value. Exceptions of the task come out.
template <class T>
T run(io::Loop& loop, Task<T> task) {
  struct State {
    bool done = false;
    std::exception_ptr failure;
  } state;
  std::conditional_t<std::is_void_v<T>, bool, std::optional<T>> value{};
  if constexpr (std::is_void_v<T>) {
    asio::co_spawn(loop.executor(), std::move(task), [&state](const std::exception_ptr& failure) {
      state = {true, failure};
    });
  } else {
    asio::co_spawn(loop.executor(), std::move(task),
                   [&state, &value](const std::exception_ptr& failure, T result) {
                     state = {true, failure};
                     if (!failure) value.emplace(std::move(result));
                   });
  }
  const auto start = std::chrono::steady_clock::now();
  while (!state.done) {
    loop.poll();
    if (state.done) break;
    std::this_thread::sleep_for(std::chrono::microseconds(50));
    if (std::chrono::steady_clock::now() - start > run_limit) {
      std::fprintf(stderr, "a task did not end within %lld s\n", static_cast<long long>(run_limit.count()));
      std::abort();
    }
  }
  if (state.failure) std::rethrow_exception(state.failure);
  if constexpr (!std::is_void_v<T>) return std::move(*value);
}

}  // namespace krakend::test
