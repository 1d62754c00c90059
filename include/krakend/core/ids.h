#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>

#include "krakend/core/result.h"

namespace krakend {

/// 20 bytes with a 40-character hex text form; Tag keeps info hashes and peer ids from being mixed up.
template <class Tag>
class Id20 {
 public:
  Id20() = default;
  explicit Id20(const std::array<uint8_t, 20>& bytes) : bytes_(bytes) {}

  /// Exactly 40 hex characters of either case.
  static Result<Id20> parse(std::string_view hex);
  std::string hex() const;

  const std::array<uint8_t, 20>& bytes() const { return bytes_; }
  auto operator<=>(const Id20&) const = default;

 private:
  std::array<uint8_t, 20> bytes_{};
};

/// Identity of a torrent: SHA-1 of its bencoded info (contract core-formats §5).
using InfoHash = Id20<struct InfoHashTag>;
/// Identity of a peer (contract core-formats §6).
using PeerId = Id20<struct PeerIdTag>;

/// Peer id factory "addr_hash": SHA-1 of "<ip>:<port>".
PeerId addr_hash_peer_id(std::string_view ip, int port);

extern template class Id20<struct InfoHashTag>;
extern template class Id20<struct PeerIdTag>;

}  // namespace krakend

template <class Tag>
struct std::hash<krakend::Id20<Tag>> {
  size_t operator()(const krakend::Id20<Tag>& id) const noexcept {
    size_t value;
    std::memcpy(&value, id.bytes().data(), sizeof value);
    return value;
  }
};
