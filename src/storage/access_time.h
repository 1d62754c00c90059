#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace krakend::storage {

/// Content of `_last_access_time`: unix seconds as a zig-zag varint, padded to 8 bytes (contract core-formats
/// §16).
std::string encode_access_time(std::chrono::system_clock::time_point at);
/// nullopt for what is no such content.
std::optional<std::chrono::system_clock::time_point> decode_access_time(std::string_view bytes);

}  // namespace krakend::storage
