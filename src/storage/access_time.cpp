#include "storage/access_time.h"

#include <cstdint>

namespace krakend::storage {
namespace {

constexpr size_t content_size = 8;
constexpr unsigned bits_per_byte = 7;
constexpr uint8_t more_follows = 0x80;

}  // namespace

std::string encode_access_time(std::chrono::system_clock::time_point at) {
  const int64_t seconds = std::chrono::floor<std::chrono::seconds>(at).time_since_epoch().count();
  uint64_t rest = (static_cast<uint64_t>(seconds) << 1) ^ static_cast<uint64_t>(seconds >> 63);
  std::string out;
  for (; rest > 0x7f; rest >>= bits_per_byte) out += static_cast<char>((rest & 0x7f) | more_follows);
  out += static_cast<char>(rest);
  out.resize(content_size, '\0');
  return out;
}

std::optional<std::chrono::system_clock::time_point> decode_access_time(std::string_view bytes) {
  uint64_t value = 0;
  unsigned shift = 0;
  for (const char c : bytes) {
    const auto byte = static_cast<uint8_t>(c);
    value |= static_cast<uint64_t>(byte & 0x7f) << shift;
    shift += bits_per_byte;
    if ((byte & more_follows) == 0) {
      const auto seconds = static_cast<int64_t>(value >> 1) ^ -static_cast<int64_t>(value & 1);
      return std::chrono::system_clock::time_point(std::chrono::seconds(seconds));
    }
    if (shift > 56) break;
  }
  return std::nullopt;
}

}  // namespace krakend::storage
