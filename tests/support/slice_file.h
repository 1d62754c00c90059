#pragma once

#include <algorithm>
#include <vector>

#include "krakend/io/content.h"
#include "krakend/io/disk.h"
#include "support/synthetic.h"

namespace krakend::test {

/// A file that gives and takes bytes as runs: what is synthetic stays so on its way from disk to disk.
class SliceFile : public io::File {
 public:
  /// The bytes from `offset` on; io when the file ends before `offset` + `length`.
  virtual Result<std::vector<Slice>> read_slices(uint64_t offset, uint64_t length) = 0;
  virtual Result<void> write_slice(uint64_t offset, const Slice& slice) = 0;
};

/// A sink that takes bytes as runs.
class SliceSink : public io::ByteSink {
 public:
  virtual Result<void> write_slice(const Slice& slice) = 0;
};

/// The bytes of a run in small parts, for those who take nothing else.
template <class Fn>
Result<void> for_each_part(const Slice& slice, Fn fn) {
  constexpr uint64_t part_size = 64 * 1024;
  std::vector<std::byte> buffer(static_cast<size_t>(std::min(part_size, slice.length)));
  for (uint64_t at = 0; at < slice.length;) {
    const auto part = std::span(buffer).first(std::min<uint64_t>(buffer.size(), slice.length - at));
    slice.read(at, part);
    if (auto taken = fn(std::span<const std::byte>(part)); !taken) return taken;
    at += part.size();
  }
  return {};
}

}  // namespace krakend::test
