#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "krakend/core/result.h"
#include "krakend/io/disk.h"
#include "krakend/io/task.h"

namespace krakend::io {

/// Takes bytes in order, on the pool. An error ends the transfer that feeds it.
class ByteSink {
 public:
  virtual ~ByteSink() = default;
  virtual Result<void> write(std::span<const std::byte> data) = 0;
  /// The next bytes are those of this part of `file`, which has them for good.
  virtual Result<void> write_from(File& file, uint64_t offset, uint64_t length);
};

/// Takes bytes and forgets them.
class NullSink final : public ByteSink {
 public:
  Result<void> write(std::span<const std::byte> /*data*/) override { return {}; }
};

/// Collects bytes as text; too_large beyond `limit`.
class TextSink final : public ByteSink {
 public:
  explicit TextSink(uint64_t limit) : limit_(limit) {}
  Result<void> write(std::span<const std::byte> data) override;
  std::string text;

 private:
  const uint64_t limit_;
};

/// Bytes of known size in one file that may still be arriving. Loop thread.
class Content {
 public:
  virtual ~Content() = default;
  virtual uint64_t size() const = 0;
  virtual FilePtr file() const = 0;
  /// Told before the first ready() that only bytes from `begin` on are wanted, not the whole. How those are
  /// verified that come before the whole is there ("crc32"); empty: as always.
  virtual std::string_view want_range(uint64_t /*begin*/) { return {}; }
  /// Waits until the byte at `offset` (< size) may be sent, and tells where the run of bytes that may be sent
  /// ends (> offset). An error is final: the bytes will not come.
  virtual Task<Result<uint64_t>> ready(uint64_t offset) = 0;
};
using ContentPtr = std::shared_ptr<Content>;

/// Waits until the bytes from `begin` to `end` may be sent.
Task<Result<void>> await_ready(Content& content, uint64_t begin, uint64_t end);

/// A file that is all there.
class FileContent final : public Content {
 public:
  FileContent(FilePtr file, uint64_t size) : file_(std::move(file)), size_(size) {}
  uint64_t size() const override { return size_; }
  FilePtr file() const override { return file_; }
  Task<Result<uint64_t>> ready(uint64_t /*offset*/) override { co_return size_; }

 private:
  FilePtr file_;
  uint64_t size_;
};

}  // namespace krakend::io
