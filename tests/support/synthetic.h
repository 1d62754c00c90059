#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <utility>

#include "krakend/core/digest.h"
#include "krakend/core/hash.h"

namespace krakend::test {

/// Bytes that are a function of their place, so that nobody has to hold them: a blob of 3 GB is a number.
/// Sums are computed over the bytes themselves, once, and remembered. One thread.
class Synthetic {
 public:
  Synthetic(uint64_t seed, uint64_t size) : seed_(seed), size_(size) {}

  uint64_t size() const { return size_; }
  void fill(uint64_t offset, std::span<std::byte> out) const;
  uint32_t crc(uint64_t offset, uint64_t length) const;
  /// SHA-256 in progress after the first `end` bytes.
  const Sha256& sha_at(uint64_t end) const;
  /// Digest of the first `end` bytes.
  const Digest& digest_at(uint64_t end) const;
  const Digest& digest() const { return digest_at(size_); }

 private:
  struct Prefix {
    Sha256 state;
    Digest digest;
  };
  const Prefix& prefix(uint64_t end) const;

  const uint64_t seed_;
  const uint64_t size_;
  mutable std::map<std::pair<uint64_t, uint64_t>, uint32_t> crcs_;
  mutable std::map<uint64_t, Prefix> prefixes_;
};
using SyntheticPtr = std::shared_ptr<const Synthetic>;

/// A run of bytes: a part of something synthetic, or of a text (null: zeros).
struct Slice {
  SyntheticPtr synthetic;
  std::shared_ptr<const std::string> text;
  uint64_t offset = 0;  ///< in either
  uint64_t length = 0;

  void read(uint64_t at, std::span<std::byte> out) const;
  /// Moves the begin; false when nothing is left.
  bool skip(uint64_t count) {
    offset += count;
    length -= count;
    return length > 0;
  }
  Slice part(uint64_t at, uint64_t count) const { return {synthetic, text, offset + at, count}; }
};

}  // namespace krakend::test
