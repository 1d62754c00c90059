#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "krakend/core/content_digest.h"
#include "krakend/core/digest.h"

namespace krakend {

/// Incremental SHA-256 (OpenSSL, SHA-NI where the processor has it). Copyable: a copy continues from the same
/// state, which is how a caller keeps a point to go back to. Not thread-safe; may move between threads.
class Sha256 {
 public:
  Sha256();
  Sha256(const Sha256& other);
  Sha256& operator=(const Sha256& other);
  Sha256(Sha256&&) noexcept;
  Sha256& operator=(Sha256&&) noexcept;
  ~Sha256();

  void update(std::span<const std::byte> data);
  /// The digest of everything so far; the state stays usable.
  Digest digest() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Incremental SHA-512, for what clients name by it. Not thread-safe; may move between threads.
class Sha512 {
 public:
  Sha512();
  Sha512(Sha512&&) noexcept;
  ~Sha512();
  void update(std::span<const std::byte> data);
  /// The digest of everything; the state is not usable any more.
  ContentDigest digest();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// CRC-32 of zip and Ethernet (IEEE 802.3, reflected), zlib's crc32(seed, data): the piece sum of metainfo.
/// `seed` is the value so far, 0 at the start.
uint32_t crc32(uint32_t seed, std::span<const std::byte> data);
/// The sum of two parts, one behind the other, from theirs and the length of the second.
uint32_t crc32_combine(uint32_t first, uint32_t second, uint64_t second_length);

std::array<uint8_t, 20> sha1(std::string_view data);

/// First 64-bit half of MurmurHash3 x64 128, seed 0: the hash of the ring (contract core-formats §9).
uint64_t murmur3_h1(std::span<const uint8_t> data);

}  // namespace krakend
