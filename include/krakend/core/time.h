#pragma once

#include <chrono>

namespace krakend {

using Duration = std::chrono::nanoseconds;
/// Monotonic time. Deciders take it as an argument; only io::Clock reads it from the system.
using TimePoint = std::chrono::time_point<std::chrono::steady_clock, Duration>;

using namespace std::chrono_literals;

inline double to_seconds(Duration value) { return std::chrono::duration<double>(value).count(); }

}  // namespace krakend
