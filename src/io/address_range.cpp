#include "krakend/io/address_range.h"

#include <algorithm>
#include <asio/ip/address.hpp>
#include <charconv>
#include <optional>

namespace krakend::io {
namespace {

constexpr unsigned v4_prefix_bits = 96;

struct Numeric {
  std::array<uint8_t, 16> bytes{};
  bool v4 = false;
};

std::optional<Numeric> numeric(std::string_view host) {
  asio::error_code error;
  const auto address = asio::ip::make_address(std::string(host), error);
  if (error) return std::nullopt;
  if (address.is_v6()) return Numeric{address.to_v6().to_bytes(), address.to_v6().is_v4_mapped()};
  return Numeric{asio::ip::make_address_v6(asio::ip::v4_mapped, address.to_v4()).to_bytes(), true};
}

}  // namespace

Result<AddressRange> AddressRange::parse(std::string_view text) {
  const size_t slash = text.find('/');
  const auto address = numeric(text.substr(0, slash));
  const unsigned most = address && address->v4 ? 32 : 128;
  unsigned bits = most;
  bool valid = address.has_value();
  if (slash != std::string_view::npos) {
    const std::string_view digits = text.substr(slash + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
    valid = valid && error == std::errc() && end == digits.data() + digits.size() && bits <= most;
  }
  if (!valid) {
    return fail(Errc::invalid_argument, "\"{}\" is no block of addresses, as 10.0.0.0/8 or fd00::/8 are",
                text);
  }
  AddressRange range;
  range.text_ = std::string(text);
  range.bytes_ = address->bytes;
  range.bits_ = address->v4 ? bits + v4_prefix_bits : bits;
  return range;
}

bool AddressRange::contains(std::string_view host) const {
  const auto address = numeric(host);
  if (!address) return false;
  for (unsigned index = 0; index < bits_; index += 8) {
    const unsigned kept = std::min(bits_ - index, 8U);
    const unsigned difference = address->bytes.at(index / 8) ^ bytes_.at(index / 8);
    if ((difference >> (8 - kept)) != 0) return false;
  }
  return true;
}

}  // namespace krakend::io
