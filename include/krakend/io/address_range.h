#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "krakend/core/result.h"

namespace krakend::io {

/// A block of IP addresses, as "10.0.0.0/8", "fd00::/8", or one address alone.
class AddressRange {
 public:
  static Result<AddressRange> parse(std::string_view text);
  /// `host` is numeric; IPv4 inside IPv6 ("::ffff:10.0.0.1") counts as IPv4. Anything else is in no range.
  bool contains(std::string_view host) const;
  /// As it was written.
  const std::string& text() const { return text_; }
  bool operator==(const AddressRange&) const = default;

 private:
  std::string text_;
  std::array<uint8_t, 16> bytes_{};  ///< IPv4 as IPv6
  unsigned bits_ = 0;                ///< of bytes_ that must agree
};

}  // namespace krakend::io
