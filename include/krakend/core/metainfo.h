#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "krakend/core/digest.h"
#include "krakend/core/ids.h"
#include "krakend/core/result.h"

namespace krakend {

/// Index of a piece within its torrent, 0 … piece_count-1.
using PieceIndex = uint32_t;

/// Limit on pieces of one torrent: a full bitfield must fit in a P2P message of 32 KiB with room to spare.
inline constexpr uint32_t max_pieces = 100'000;

/// How a blob is cut into pieces and what each must sum to: Kraken's ".torrent" (contract core-formats §3–§5).
/// Lengths are in bytes. Immutable once made; `info_hash` is computed at construction.
class MetaInfo {
 public:
  MetaInfo() = default;
  /// Error: invalid_argument (piece_length 0, sums do not match the length), too_large (over max_pieces).
  static Result<MetaInfo> make(Digest digest, uint64_t length, uint64_t piece_length, std::vector<uint32_t> sums);
  /// The JSON of the metainfo endpoints and of the _torrentmeta side file. Unknown keys are ignored.
  static Result<MetaInfo> parse(std::string_view json);
  /// Byte-exact as the reference writes it: key order, no whitespace, "PieceSums":null for an empty blob.
  std::string json() const;

  const Digest& digest() const { return digest_; }
  const InfoHash& info_hash() const { return info_hash_; }
  uint64_t length() const { return length_; }
  uint64_t piece_length() const { return piece_length_; }
  uint32_t piece_count() const { return static_cast<uint32_t>(sums_.size()); }
  /// 0 for an index out of range (contract core-formats §3).
  uint64_t piece_size(PieceIndex index) const;
  uint64_t piece_offset(PieceIndex index) const { return uint64_t{index} * piece_length_; }
  uint32_t piece_sum(PieceIndex index) const { return sums_.at(index); }
  const std::vector<uint32_t>& piece_sums() const { return sums_; }

 private:
  Digest digest_;
  InfoHash info_hash_;
  uint64_t length_ = 0;
  uint64_t piece_length_ = 0;
  std::vector<uint32_t> sums_;
};

/// Bencoding of the info dictionary whose SHA-1 is the info hash; exposed for the vectors.
std::string bencode_info(const MetaInfo& info);

/// Computes the piece sums of a byte stream as it passes. Feed bytes in order, then take().
class PieceSummer {
 public:
  explicit PieceSummer(uint64_t piece_length) : piece_length_(piece_length) {}
  void update(std::span<const std::byte> data);
  uint64_t length() const { return length_; }
  uint64_t piece_length() const { return piece_length_; }
  std::vector<uint32_t> take();
  /// The sums of pieces of another length, a multiple of its own.
  std::vector<uint32_t> take(uint64_t piece_length);

 private:
  uint64_t piece_length_;
  uint64_t length_ = 0;
  uint32_t current_ = 0;
  std::vector<uint32_t> sums_;
};

}  // namespace krakend
