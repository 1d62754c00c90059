#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "krakend/core/units.h"
#include "krakend/io/content.h"

namespace krakend::io {

/// Bytes that one step on the pool moves before others get their turn.
inline constexpr uint64_t step_quota = 8 * MiB;

/// The buffer of a pool thread for everything it receives, copies or encrypts: 256 KiB.
std::span<std::byte> thread_buffer();

/// receive_file's end of a transfer: sums the bytes and puts them into the file.
class FileSink final : public ByteSink {
 public:
  FileSink(FilePtr file, uint64_t offset, ByteSink* tap)
      : file_(std::move(file)), offset_(offset), tap_(tap) {}
  Result<void> write(std::span<const std::byte> data) override;
  uint32_t sum() const { return sum_; }

 private:
  FilePtr file_;
  uint64_t offset_;
  ByteSink* tap_;
  uint32_t sum_ = 0;
};

}  // namespace krakend::io
