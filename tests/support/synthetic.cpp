#include "support/synthetic.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <string>
#include <vector>

#include "krakend/core/units.h"

namespace krakend::test {
namespace {

constexpr uint64_t word = sizeof(uint64_t);
constexpr uint64_t step = 256 * KiB;

uint64_t word_at(uint64_t seed, uint64_t index) {
  uint64_t z = seed + (index + 1) * 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

/// Feeds the bytes from `begin` to `end` to `fn`.
template <class Fn>
void for_each_part(const Synthetic& content, uint64_t begin, uint64_t end, Fn fn) {
  std::vector<std::byte> buffer(std::min(step, end - begin));
  while (begin < end) {
    const auto part = std::span(buffer).first(std::min<uint64_t>(buffer.size(), end - begin));
    content.fill(begin, part);
    fn(std::span<const std::byte>(part));
    begin += part.size();
  }
}

}  // namespace

void Synthetic::fill(uint64_t offset, std::span<std::byte> out) const {
  while (!out.empty() && (offset % word != 0 || out.size() < word)) {
    const uint64_t value = word_at(seed_, offset / word);
    out.front() = static_cast<std::byte>(value >> (8 * (offset % word)));
    out = out.subspan(1);
    ++offset;
  }
  uint64_t index = offset / word;
  for (; out.size() >= word; out = out.subspan(word)) {
    const uint64_t value = word_at(seed_, index++);
    std::memcpy(out.data(), &value, word);
  }
  if (!out.empty()) fill(index * word, out);
}

uint32_t Synthetic::crc(uint64_t offset, uint64_t length) const {
  const auto [found, added] = crcs_.try_emplace({offset, length}, 0);
  uint32_t& sum = found->second;
  if (added) for_each_part(*this, offset, offset + length, [&sum](auto part) { sum = crc32(sum, part); });
  return sum;
}

const Synthetic::Prefix& Synthetic::prefix(uint64_t end) const {
  auto next = prefixes_.lower_bound(end);
  if (next != prefixes_.end() && next->first == end) return next->second;
  Sha256 state;
  uint64_t begin = 0;
  if (next != prefixes_.begin()) {
    const auto& [at, known] = *std::prev(next);
    begin = at;
    state = known.state;
  }
  for_each_part(*this, begin, end, [&](auto part) { state.update(part); });
  const Digest digest = state.digest();
  return prefixes_.emplace_hint(next, end, Prefix{std::move(state), digest})->second;
}

const Sha256& Synthetic::sha_at(uint64_t end) const {
  return prefix(end).state;
}
const Digest& Synthetic::digest_at(uint64_t end) const {
  return prefix(end).digest;
}

void Slice::read(uint64_t at, std::span<std::byte> out) const {
  if (synthetic)
    synthetic->fill(offset + at, out);
  else if (text)
    std::memcpy(out.data(), text->data() + offset + at, out.size());
  else
    std::fill(out.begin(), out.end(), std::byte{0});
}

}  // namespace krakend::test
