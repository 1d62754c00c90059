#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "krakend/core/result.h"

namespace krakend {

/// A fixed number of bits, one per piece. Binary form: contract p2p §4. Bits beyond size() are always zero.
class Bitfield {
 public:
  Bitfield() = default;
  explicit Bitfield(uint32_t size, bool value = false);
  /// Error protocol: too short, a bit count other than `expected_size`, or stray bits behind the last one:
  /// each would poison a peer that believes it.
  static Result<Bitfield> decode(std::string_view bytes, uint32_t expected_size);
  /// Like decode, for a torrent whose piece count is not known yet; the size is bounded by the bytes present.
  static Result<Bitfield> decode(std::string_view bytes);
  std::string encode() const;

  uint32_t size() const { return size_; }
  uint32_t count() const { return count_; }
  bool all() const { return count_ == size_; }
  bool none() const { return count_ == 0; }
  bool test(uint32_t index) const { return index < size_ && (words_[index / 64] >> (index % 64) & 1) != 0; }
  /// Both return whether the bit changed. Precondition: index < size().
  bool set(uint32_t index);
  bool clear(uint32_t index);
  /// 64 bits each, bit i of the field is bit i%64 of word i/64.
  std::span<const uint64_t> words() const { return words_; }

  bool operator==(const Bitfield&) const = default;

  /// Calls `fn` with each bit that is set in one of the words(), of which `base` is the first bit's index.
  template <class Fn>
  static void for_each_in(uint64_t word, uint32_t base, Fn fn) {
    for (; word != 0; word &= word - 1) fn(base + static_cast<uint32_t>(std::countr_zero(word)));
  }
  /// Calls `fn` with each bit that is set; it may change those bits.
  template <class Fn>
  void for_each(Fn fn) const {
    for (size_t i = 0; i < words_.size(); ++i) for_each_in(words_[i], static_cast<uint32_t>(i * 64), fn);
  }

 private:
  uint32_t size_ = 0;
  uint32_t count_ = 0;
  std::vector<uint64_t> words_;
};

}  // namespace krakend
