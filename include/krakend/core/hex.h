#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace krakend {

/// Lower-case hex of the bytes, first byte first.
std::string to_hex(std::span<const uint8_t> bytes);

/// Decodes hex of either case into `out`; false when the length is not exactly 2 × out.size() or a character is
/// not a hex digit.
bool from_hex(std::string_view text, std::span<uint8_t> out);

inline std::span<const uint8_t> as_u8(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()};
}
inline std::span<const std::byte> as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}
inline std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace krakend
