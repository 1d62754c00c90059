#pragma once

#include <asio/awaitable.hpp>

namespace krakend {

/// A coroutine that runs on the loop thread. It starts when awaited, or when a TaskGroup spawns it. A stopped
/// group ends its tasks at their next wait by an exception (asio::system_error, operation_aborted) that only
/// the group catches: code in between cleans up by destructors.
template <class T = void>
using Task = asio::awaitable<T>;

}  // namespace krakend
