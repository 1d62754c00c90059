#include "krakend/core/bitfield.h"

#include <bit>

namespace krakend {
namespace {

uint64_t load_big_endian(std::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = 0; i < 8; ++i) value = value << 8 | static_cast<uint8_t>(bytes[i]);
  return value;
}

void append_big_endian(std::string& out, uint64_t value) {
  for (int shift = 56; shift >= 0; shift -= 8) out += static_cast<char>(value >> shift & 0xFF);
}

/// The bits of the last word that belong to the field.
uint64_t last_word_mask(uint32_t size) {
  return size % 64 == 0 ? ~uint64_t{0} : (uint64_t{1} << (size % 64)) - 1;
}

}  // namespace

Bitfield::Bitfield(uint32_t size, bool value)
    : size_(size), count_(value ? size : 0), words_((size + 63) / 64, value ? ~uint64_t{0} : 0) {
  if (!words_.empty()) words_.back() &= last_word_mask(size);
}

Result<Bitfield> Bitfield::decode(std::string_view bytes) {
  if (bytes.size() < 8) return fail(Errc::protocol, "bitfield of {} bytes is too short", bytes.size());
  const uint64_t bits = load_big_endian(bytes);
  const uint64_t words = bits / 64 + (bits % 64 != 0 ? 1 : 0);
  if (words > (bytes.size() - 8) / 8) {
    return fail(Errc::protocol, "bitfield announces {} bits but has {} bytes", bits, bytes.size() - 8);
  }
  Bitfield field(static_cast<uint32_t>(bits));
  for (size_t i = 0; i < words; ++i) {
    field.words_[i] = load_big_endian(bytes.substr(8 + i * 8));
    field.count_ += static_cast<uint32_t>(std::popcount(field.words_[i]));
  }
  if (words > 0 && (field.words_.back() & ~last_word_mask(field.size_)) != 0) {
    return fail(Errc::protocol, "bitfield has bits set behind its end");
  }
  return field;
}

Result<Bitfield> Bitfield::decode(std::string_view bytes, uint32_t expected_size) {
  auto field = decode(bytes);
  if (field && field->size() != expected_size) {
    return fail(Errc::protocol, "bitfield of {} bits for {} pieces", field->size(), expected_size);
  }
  return field;
}

std::string Bitfield::encode() const {
  std::string out;
  out.reserve(8 + words_.size() * 8);
  append_big_endian(out, size_);
  for (const uint64_t word : words_) append_big_endian(out, word);
  return out;
}

bool Bitfield::set(uint32_t index) {
  const uint64_t bit = uint64_t{1} << (index % 64);
  auto& word = words_.at(index / 64);
  if ((word & bit) != 0) return false;
  word |= bit;
  ++count_;
  return true;
}

bool Bitfield::clear(uint32_t index) {
  const uint64_t bit = uint64_t{1} << (index % 64);
  auto& word = words_.at(index / 64);
  if ((word & bit) == 0) return false;
  word &= ~bit;
  --count_;
  return true;
}

}  // namespace krakend
