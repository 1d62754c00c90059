#pragma once

#include <array>
#include <cstdint>

#include "krakend/core/ids.h"

namespace krakend::test {

/// The peer of that number.
inline PeerId peer(uint8_t number) {
  std::array<uint8_t, 20> bytes{};
  bytes[0] = number;
  return PeerId(bytes);
}

}  // namespace krakend::test
