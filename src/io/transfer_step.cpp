#include "io/transfer_step.h"

#include <memory>

#include "krakend/core/hash.h"

namespace krakend::io {
namespace {

constexpr size_t buffer_size = 256 * KiB;

}  // namespace

std::span<std::byte> thread_buffer() {
  // Copies in and out of the kernel are cheaper from page to page.
  struct alignas(4096) Pages {
    std::byte bytes[buffer_size];
  };
  thread_local const auto buffer = std::make_unique_for_overwrite<Pages>();
  return buffer->bytes;
}

Result<void> FileSink::write(std::span<const std::byte> data) {
  sum_ = crc32(sum_, data);
  if (tap_ != nullptr) {
    if (auto fed = tap_->write(data); !fed) return fed;
  }
  auto written = file_->write_at(offset_, data);
  offset_ += data.size();
  return written;
}

}  // namespace krakend::io
