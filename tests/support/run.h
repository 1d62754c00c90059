#pragma once

#include <asio/co_spawn.hpp>
#include <asio/steady_timer.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <optional>
#include <type_traits>

#include "krakend/io/loop.h"
#include "krakend/io/task.h"

namespace krakend::test {

/// A test that waits longer than this for one task hangs: it is ended with a message.
inline constexpr std::chrono::seconds run_limit{60};

/// Runs the loop until `task` has ended, and returns its value. Exceptions of the task come out. The calling
/// thread is the loop thread; what the loop still has to do goes on in the next run().
template <class T>
T run(io::Loop& loop, Task<T> task) {
  bool done = false;
  std::exception_ptr failure;
  std::conditional_t<std::is_void_v<T>, bool, std::optional<T>> value{};
  const auto ended = [&](const std::exception_ptr& error) {
    failure = error;
    done = true;
    loop.stop();
  };
  asio::steady_timer guard(loop.executor(), run_limit);
  guard.async_wait([](const asio::error_code& error) {
    if (error) return;
    std::fprintf(stderr, "a task did not end within %lld s\n", static_cast<long long>(run_limit.count()));
    std::abort();
  });
  if constexpr (std::is_void_v<T>) {
    asio::co_spawn(loop.executor(), std::move(task), ended);
  } else {
    asio::co_spawn(loop.executor(), std::move(task), [&](const std::exception_ptr& error, T result) {
      if (!error) value.emplace(std::move(result));
      ended(error);
    });
  }
  while (!done) loop.run();
  if (failure) std::rethrow_exception(failure);
  if constexpr (!std::is_void_v<T>) return std::move(*value);
}

}  // namespace krakend::test
