#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>

#include "krakend/core/result.h"

namespace krakend {

/// SHA-256 content digest (contract core-formats §1). Text form "sha256:" + 64 hex; upper-case hex is accepted
/// and normalised to lower case, so that one blob has one path.
class Digest {
 public:
  Digest() = default;
  explicit Digest(const std::array<uint8_t, 32>& bytes) : bytes_(bytes) {}

  /// "sha256:<64 hex>"
  static Result<Digest> parse(std::string_view text);
  /// "<64 hex>", as in metainfo names, file names and P2P messages
  static Result<Digest> parse_hex(std::string_view hex);
  /// Either form: the agent API takes both.
  static Result<Digest> parse_any(std::string_view text);
  /// Hashes `data` itself.
  static Digest of(std::string_view data);

  std::string hex() const;
  /// "sha256:<64 hex>"
  std::string str() const;
  /// First four hex characters: the only input of the hash ring (contract core-formats §2).
  std::string shard_id() const { return hex().substr(0, 4); }

  const std::array<uint8_t, 32>& bytes() const { return bytes_; }
  auto operator<=>(const Digest&) const = default;

 private:
  std::array<uint8_t, 32> bytes_{};
};

}  // namespace krakend

template <>
struct std::hash<krakend::Digest> {
  size_t operator()(const krakend::Digest& digest) const noexcept {
    size_t value;
    std::memcpy(&value, digest.bytes().data(), sizeof value);
    return value;
  }
};
