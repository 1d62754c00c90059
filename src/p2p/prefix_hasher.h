#pragma once

#include <cstdint>
#include <vector>

#include "krakend/core/bitfield.h"
#include "krakend/core/hash.h"
#include "krakend/core/metainfo.h"
#include "krakend/core/units.h"
#include "krakend/io/disk.h"
#include "krakend/io/loop.h"

namespace krakend::p2p {

/// SHA-256 of a file from its start, advanced as the verified prefix grows. The bytes are read back from the
/// page cache on the pool, so receiving never waits for hashing. Loop thread; one advance() at a time.
class PrefixHasher {
 public:
  PrefixHasher(io::Loop& loop, io::FilePtr file) : loop_(loop), file_(std::move(file)) {}

  uint64_t position() const { return position_; }
  /// Hashes on, up to `end`, at most one step (step_size). An error is a failed read.
  Task<Result<void>> advance(uint64_t end);
  Digest digest() const { return sha_.digest(); }

 private:
  static constexpr uint64_t step_size = 4 * MiB;
  static constexpr size_t buffer_size = 128 * KiB;

  io::Loop& loop_;
  io::FilePtr file_;
  uint64_t position_ = 0;
  Sha256 sha_;
};

/// Which of the pieces marked in `have` do not match their sums in the file. Reads all of them: pool work.
Result<std::vector<PieceIndex>> find_bad_pieces(io::File& file, const MetaInfo& info, const Bitfield& have);

}  // namespace krakend::p2p
