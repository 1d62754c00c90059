#include "p2p/piece_picker.h"

#include <bit>
#include <iterator>
#include <limits>

namespace krakend::p2p {
namespace {

/// A well-mixed number from a counter: one draw serves for as many ties as there are.
uint64_t mix(uint64_t value) {
  value += 0x9E3779B97F4A7C15;
  value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9;
  value = (value ^ value >> 27) * 0x94D049BB133111EB;
  return value ^ value >> 31;
}

template <class Fn>
void for_each_bit(uint64_t word, uint32_t base, Fn fn) {
  for (; word != 0; word &= word - 1) fn(base + static_cast<uint32_t>(std::countr_zero(word)));
}

template <class Fn>
void for_each_piece(const Bitfield& pieces, Fn fn) {
  const auto words = pieces.words();
  for (size_t i = 0; i < words.size(); ++i) for_each_bit(words[i], static_cast<uint32_t>(i * 64), fn);
}

}  // namespace

PiecePicker::PiecePicker(const Bitfield& have)
    : have_(have), requested_(have.size()), availability_(have.size(), 0) {}

void PiecePicker::add_peer(const Bitfield& pieces) {
  for_each_piece(pieces, [this](PieceIndex index) { ++availability_[index]; });
}

void PiecePicker::remove_peer(const Bitfield& pieces) {
  for_each_piece(pieces, [this](PieceIndex index) { --availability_[index]; });
}

void PiecePicker::mark_have(PieceIndex index) {
  have_.set(index);
  requested_.clear(index);
}

void PiecePicker::mark_lost(PieceIndex index) {
  have_.clear(index);
  requested_.clear(index);
}

uint64_t PiecePicker::candidates(const Bitfield& peer, size_t word) const {
  return peer.words()[word] & ~have_.words()[word] & ~requested_.words()[word];
}

bool PiecePicker::interested(const Bitfield& peer) const {
  for (size_t word = 0; word < have_.words().size(); ++word) {
    if (candidates(peer, word) != 0) return true;
  }
  return false;
}

std::optional<PieceIndex> PiecePicker::pick(const Bitfield& peer, uint64_t draw) const {
  if (!cursors_.empty() && (draw & 1) == 0) {
    const auto reader = std::next(cursors_.begin(), static_cast<ptrdiff_t>((draw >> 1) % cursors_.size()));
    if (auto near = first_from(reader->second, peer)) return near;
  }
  return rarest(peer, draw >> 1);
}

std::vector<uint32_t> PiecePicker::rarity() const {
  std::vector<uint32_t> pieces;
  for (PieceIndex index = 0; index < have_.size(); ++index) {
    if (have_.test(index)) continue;
    const uint32_t count = availability_[index];
    if (count >= pieces.size()) pieces.resize(count + 1);
    ++pieces[count];
  }
  return pieces;
}

std::optional<PieceIndex> PiecePicker::wanted_by(uint64_t reader) const {
  const auto found = cursors_.find(reader);
  if (found == cursors_.end()) return std::nullopt;
  const PieceIndex at = found->second;
  if (at >= have_.size() || have_.test(at) || requested_.test(at)) return std::nullopt;
  return at;
}

std::optional<PieceIndex> PiecePicker::first_from(PieceIndex cursor, const Bitfield& peer) const {
  const uint32_t end = std::min(have_.size(), cursor + cursor_window);
  for (uint32_t index = cursor; index < end; ++index) {
    if (peer.test(index) && !have_.test(index) && !requested_.test(index)) return index;
  }
  return std::nullopt;
}

std::optional<PieceIndex> PiecePicker::rarest(const Bitfield& peer, uint64_t draw) const {
  std::optional<PieceIndex> best;
  uint32_t fewest = std::numeric_limits<uint32_t>::max();
  uint64_t ties = 0;
  for (size_t word = 0; word < have_.words().size(); ++word) {
    for_each_bit(candidates(peer, word), static_cast<uint32_t>(word * 64), [&](PieceIndex index) {
      const uint32_t count = prefer_rare_ ? availability_[index] : 1;
      if (count > fewest) return;
      ties = count < fewest ? 1 : ties + 1;
      fewest = count;
      // Reservoir of one: every tie ends up chosen with the same probability.
      if (mix(draw + ties) % ties == 0) best = index;
    });
  }
  return best;
}

}  // namespace krakend::p2p
