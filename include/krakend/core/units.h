#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "krakend/core/result.h"

namespace krakend {

inline constexpr uint64_t KiB = 1024;
inline constexpr uint64_t MiB = 1024 * KiB;
inline constexpr uint64_t GiB = 1024 * MiB;

/// Go duration ("10s", "1h30m", "1.5s"); a bare integer is nanoseconds (contract config-ops §2).
Result<std::chrono::nanoseconds> parse_duration(std::string_view text);
/// "1h30m0s"-like text that parse_duration reads back.
std::string format_duration(std::chrono::nanoseconds value);

/// Byte size ("4MB", "512k", "7"), powers of 1024; the spellings Kb Mb Gb Tb Pb Eb mean bits and are refused.
Result<uint64_t> parse_size(std::string_view text);
/// Largest unit that divides the value: 4194304 → "4MB".
std::string format_size(uint64_t bytes);

/// True when `name` is a valid repository name of the registry API, at most 255 characters.
bool valid_repository(std::string_view name);
/// True for [A-Za-z0-9_][A-Za-z0-9_.-]{0,127}.
bool valid_tag(std::string_view tag);

}  // namespace krakend
