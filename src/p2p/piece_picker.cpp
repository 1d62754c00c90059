#include "p2p/piece_picker.h"

#include <algorithm>
#include <iterator>

namespace krakend::p2p {
namespace {

/// A well-mixed number from a counter: one draw serves for as many ties as there are.
uint64_t mix(uint64_t value) {
  value += 0x9E3779B97F4A7C15;
  value = (value ^ value >> 30) * 0xBF58476D1CE4E5B9;
  value = (value ^ value >> 27) * 0x94D049BB133111EB;
  return value ^ value >> 31;
}

}  // namespace

PiecePicker::PiecePicker(const Bitfield& have)
    : have_(have),
      requested_(have.size()),
      availability_(have.size(), 0),
      buckets_(1),
      place_(have.size(), nowhere) {
  for (PieceIndex index = 0; index < have_.size(); ++index) file(index);
}

void PiecePicker::unfile(PieceIndex index) {
  const uint32_t place = place_[index];
  if (place == nowhere) return;
  auto& bucket = buckets_[availability_[index]];
  const PieceIndex last = bucket.back();
  bucket[place] = last;
  place_[last] = place;
  bucket.pop_back();
  place_[index] = nowhere;
}

void PiecePicker::file(PieceIndex index) {
  if (place_[index] != nowhere || have_.test(index) || requested_.test(index)) return;
  const uint32_t peers = availability_[index];
  if (peers >= buckets_.size()) buckets_.resize(peers + 1);
  place_[index] = static_cast<uint32_t>(buckets_[peers].size());
  buckets_[peers].push_back(index);
}

void PiecePicker::count(PieceIndex index, uint32_t peers) {
  unfile(index);
  availability_[index] = peers;
  file(index);
}

void PiecePicker::add_peer(const Bitfield& pieces) {
  pieces.for_each([this](PieceIndex index) { count(index, availability_[index] + 1); });
}

void PiecePicker::remove_peer(const Bitfield& pieces) {
  pieces.for_each([this](PieceIndex index) { count(index, availability_[index] - 1); });
}

void PiecePicker::mark_requested(PieceIndex index) {
  unfile(index);
  requested_.set(index);
}

void PiecePicker::release(PieceIndex index) {
  requested_.clear(index);
  file(index);
}

void PiecePicker::mark_have(PieceIndex index) {
  unfile(index);
  have_.set(index);
  requested_.clear(index);
}

void PiecePicker::mark_lost(PieceIndex index) {
  have_.clear(index);
  requested_.clear(index);
  file(index);
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
  return pick_rare(peer, draw >> 1);
}

std::optional<PieceIndex> PiecePicker::pick_rare(const Bitfield& peer, uint64_t draw) const {
  return prefer_rare_ ? rarest(peer, draw) : any(peer, draw);
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

std::vector<PieceIndex> PiecePicker::wanted() const {
  std::vector<PieceIndex> pieces;
  for (const auto& [reader, index] : cursors_) {
    const bool noted = std::find(pieces.begin(), pieces.end(), index) != pieces.end();
    if (!noted && wanted_by(reader) && availability_[index] > 0) pieces.push_back(index);
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
  for (const auto& bucket : buckets_) {
    if (bucket.empty()) continue;
    // From somewhere in the bucket on: that is random enough for ties, and one draw serves for all buckets.
    size_t at = mix(draw + bucket.size()) % bucket.size();
    for (size_t left = bucket.size(); left > 0; --left) {
      if (peer.test(bucket[at])) return bucket[at];
      if (++at == bucket.size()) at = 0;
    }
  }
  return std::nullopt;
}

std::optional<PieceIndex> PiecePicker::any(const Bitfield& peer, uint64_t draw) const {
  std::optional<PieceIndex> chosen;
  uint64_t seen = 0;
  for (size_t word = 0; word < have_.words().size(); ++word) {
    Bitfield::for_each_in(candidates(peer, word), static_cast<uint32_t>(word * 64), [&](PieceIndex index) {
      ++seen;
      // Reservoir of one: every candidate ends up chosen with the same probability.
      if (mix(draw + seen) % seen == 0) chosen = index;
    });
  }
  return chosen;
}

}  // namespace krakend::p2p
