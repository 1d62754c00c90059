#pragma once

#include <string>
#include <string_view>

#include "krakend/core/hex.h"

namespace krakend::test {

/// Vectors are written in hex; these turn them into bytes and back.
inline std::string hex_of(const std::string& bytes) {
  return to_hex(as_u8(as_bytes(bytes)));
}

inline std::string bytes_of(std::string_view hex) {
  std::string bytes(hex.size() / 2, '\0');
  from_hex(hex, std::span(reinterpret_cast<uint8_t*>(bytes.data()), bytes.size()));
  return bytes;
}

}  // namespace krakend::test
