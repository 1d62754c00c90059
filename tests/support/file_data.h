#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "support/synthetic.h"

namespace krakend::test {

/// The bytes of one file: small ones as text, large and synthetic ones as runs, of which gaps are zeros.
class FileData {
 public:
  uint64_t size() const { return size_; }
  void resize(uint64_t size);
  void write(uint64_t offset, std::span<const std::byte> data);
  void write(uint64_t offset, const Slice& slice);
  /// Fewer bytes than asked only at the end.
  size_t read(uint64_t offset, std::span<std::byte> out) const;
  /// What stands from `offset` to `end`, which is not beyond the end of the file.
  std::vector<Slice> slices(uint64_t offset, uint64_t end) const;
  /// What the first `end` bytes are the beginning of; null when that is nothing synthetic.
  SyntheticPtr prefix_of(uint64_t end) const;

 private:
  void use_runs();
  /// Makes room for a run: nothing overlaps it any more.
  void cut(uint64_t begin, uint64_t end);

  /// A file that is longer is kept as runs.
  static constexpr uint64_t longest_text = 1 << 20;
  uint64_t size_ = 0;
  bool in_runs_ = false;
  std::string text_;
  std::map<uint64_t, Slice> runs_;
};

}  // namespace krakend::test
