#pragma once

#include <cstdint>
#include <string>

#include "krakend/core/units.h"
#include "krakend/io/content.h"

namespace krakend::http {

/// Decodes a chunked request body on its way to a sink. Bytes behind the end of the body are kept for the
/// next request. Strict about line ends: whoever stands in front of us must not find another end of the body.
/// Runs on the pool, one write at a time.
class ChunkDecoder final : public io::ByteSink {
 public:
  /// Limit on a chunk-size line and on each trailer line, in bytes.
  static constexpr size_t max_line = 4096;
  /// Limit on all trailer lines together.
  static constexpr size_t max_trailers = 64 * KiB;
  /// Limit on the bytes behind the body: requests sent ahead.
  static constexpr size_t max_surplus = 64 * KiB;

  /// `limit`: decoded bytes allowed; beyond: too_large.
  ChunkDecoder(io::ByteSink& out, uint64_t limit) : out_(out), limit_(limit) {}
  Result<void> write(std::span<const std::byte> data) override;

  bool done() const { return state_ == State::done; }
  uint64_t decoded() const { return decoded_; }
  std::string& surplus() { return surplus_; }

 private:
  enum class State { size_line, data, data_end, trailer, done };
  Result<void> end_of_line();
  Result<void> start_chunk();
  Result<size_t> take_data(std::span<const std::byte> data);
  Result<void> keep_surplus(std::span<const std::byte> data);

  io::ByteSink& out_;
  uint64_t limit_;
  State state_ = State::size_line;
  std::string line_;
  uint64_t chunk_left_ = 0;
  uint64_t decoded_ = 0;
  size_t trailer_bytes_ = 0;
  std::string surplus_;
};

}  // namespace krakend::http
