#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "krakend/core/bitfield.h"
#include "krakend/core/hash.h"
#include "krakend/core/metainfo.h"
#include "krakend/core/units.h"
#include "krakend/io/content.h"
#include "krakend/io/disk.h"
#include "krakend/io/loop.h"

namespace krakend::p2p {

/// SHA-256 of a file from its start, advanced as the verified prefix grows: by reading the bytes back from
/// the page cache on the pool, or, cheaper, by a tap on a piece that arrives exactly where the hash stands.
/// Loop thread; one advance() or tap at a time.
class PrefixHasher {
 public:
  PrefixHasher(io::Loop& loop, io::FilePtr file) : loop_(loop), file_(std::move(file)) {}

  /// From the first byte again.
  void restart();
  uint64_t position() const { return position_; }
  /// Hashes on, up to `end`, at most one step (step_size). An error is a failed read.
  Task<Result<void>> advance(uint64_t end);
  Digest digest() const { return sha_.digest(); }

  /// Hashes what passes through it, apart from the hasher's own state until adopt(). Keep it until then.
  class Tap final : public io::ByteSink {
   public:
    explicit Tap(const Sha256& sha) : sha_(sha) {}
    Result<void> write(std::span<const std::byte> data) override {
      sha_.update(data);
      size_ += data.size();
      return {};
    }
    Result<void> write_from(io::File& file, uint64_t offset, uint64_t length) override {
      size_ += length;
      return file.hash(sha_, offset, offset + length);
    }

   private:
    friend class PrefixHasher;
    Sha256 sha_;
    uint64_t size_ = 0;
  };
  /// A tap for the bytes at `offset`; none when the hash stands elsewhere or is busy. Until adopt() or
  /// give_back() the hasher is busy.
  std::unique_ptr<Tap> lend(uint64_t offset);
  /// The tapped bytes were right and are part of the file now.
  void adopt(Tap& tap);
  void give_back() { busy_ = false; }
  bool busy() const { return busy_; }

 private:
  static constexpr uint64_t step_size = 4 * MiB;

  io::Loop& loop_;
  io::FilePtr file_;
  uint64_t position_ = 0;
  bool busy_ = false;
  Sha256 sha_;
};

}  // namespace krakend::p2p
