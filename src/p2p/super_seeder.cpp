#include "p2p/super_seeder.h"

#include <algorithm>
#include <limits>
#include <optional>
#include <utility>

namespace krakend::p2p {

namespace {

/// Pieces that each of so many peers is to take next: enough that the link is busy whatever their number; one
/// each when they are many.
uint32_t share(size_t peers) {
  constexpr uint32_t in_sum = 32;
  return std::max<uint32_t>(1, in_sum / static_cast<uint32_t>(peers));
}

}  // namespace

uint32_t SuperSeeder::shown_at_a_time(size_t peers) {
  if (peers <= 1) return std::numeric_limits<uint32_t>::max();
  return share(peers);
}

Bitfield SuperSeeder::add_peer(const PeerId& id, const Bitfield& have, bool sees_all) {
  (void)remove_peer(id);
  Peer& peer = peers_[id];
  peer.have = have;
  peer.shown = sees_all ? Bitfield(have.size(), true) : have;
  peer.open = peer.shown.count() - have.count();
  peer.counted = Bitfield(have.size());
  peer.taking = Bitfield(have.size());
  count_what_it_has(peer);
  for (auto& [other, known] : peers_) trim(known);
  std::vector<Shown> shown;
  show_more(id, peer, shown);
  return peer.shown;
}

std::vector<SuperSeeder::Shown> SuperSeeder::remove_peer(const PeerId& id) {
  std::vector<Shown> out;
  const auto found = peers_.find(id);
  if (found == peers_.end()) return out;
  Peer& gone = found->second;
  gone.counted.for_each([&](PieceIndex piece) { uncount(gone, piece); });
  peers_.erase(found);
  if (peers_.empty()) forget_given();
  for (auto& [other, peer] : peers_) show_more(other, peer, out);
  return out;
}

/// Nobody is left who could pass on what was given: to those who come next everything is new.
void SuperSeeder::forget_given() {
  std::fill(given_.begin(), given_.end(), 0);
  never_given_ = static_cast<uint32_t>(given_.size());
}

std::vector<SuperSeeder::Shown> SuperSeeder::took(const PeerId& id, PieceIndex piece, bool from_here) {
  std::vector<Shown> out;
  if (from_here && given_.at(piece)++ == 0) --never_given_;
  const auto found = peers_.find(id);
  if (found == peers_.end()) return out;
  Peer& peer = found->second;
  if (!peer.have.set(piece)) return out;
  if (!peer.shown.set(piece)) {
    --peer.open;
    if (peer.counted.test(piece)) --peer.open_counted;
  }
  count(peer, piece);
  show_more(id, peer, out);
  return out;
}

void SuperSeeder::begins(const PeerId& id, PieceIndex piece) {
  const auto found = peers_.find(id);
  if (found == peers_.end()) return;
  Peer& peer = found->second;
  peer.taking.set(piece);
  if (peer.have.test(piece)) return;
  if (peer.shown.set(piece)) ++peer.open;
  if (peer.slow || peer.counted.test(piece)) return;
  count(peer, piece);
  ++peer.open_counted;
}

bool SuperSeeder::is_elsewhere(const PeerId& id, PieceIndex piece) const {
  const auto found = peers_.find(id);
  if (never_given_ == 0 || found == peers_.end()) return false;
  if (found->second.needy || !found->second.shown.test(piece)) return false;
  return std::any_of(peers_.begin(), peers_.end(), [&](const auto& known) {
    const Peer& other = known.second;
    return known.first != id && !other.slow && (other.have.test(piece) || other.taking.test(piece));
  });
}

std::vector<SuperSeeder::Shown> SuperSeeder::refused(const PeerId& id, PieceIndex piece) {
  std::vector<Shown> out;
  const auto found = peers_.find(id);
  if (found == peers_.end()) return out;
  Peer& peer = found->second;
  if (peer.have.test(piece) || !peer.shown.clear(piece)) return out;
  --peer.open;
  if (peer.counted.test(piece)) {
    uncount(peer, piece);
    --peer.open_counted;
  }
  show_more(id, peer, out);
  return out;
}

void SuperSeeder::trim(Peer& peer) {
  const uint32_t most = share(peers_.size());
  for (auto piece = static_cast<PieceIndex>(copies_.size()); piece-- > 0 && peer.open_counted > most;) {
    if (!peer.counted.test(piece) || peer.have.test(piece) || peer.taking.test(piece)) continue;
    uncount(peer, piece);
    --peer.open_counted;
  }
}

void SuperSeeder::count(Peer& peer, PieceIndex piece) {
  if (peer.slow || !peer.counted.set(piece)) return;
  if (copies_[piece]++ == 0) uncounted_.clear(piece);
}

void SuperSeeder::count_what_it_has(Peer& peer) {
  peer.have.for_each([&](PieceIndex piece) { count(peer, piece); });
}

void SuperSeeder::uncount(Peer& peer, PieceIndex piece) {
  peer.counted.clear(piece);
  if (--copies_[piece] == 0) uncounted_.set(piece);
}

std::vector<SuperSeeder::Shown> SuperSeeder::help(const PeerId& id) {
  std::vector<Shown> out;
  const auto found = peers_.find(id);
  if (found == peers_.end()) return out;
  found->second.needy = true;
  show_more(id, found->second, out);
  return out;
}

std::vector<SuperSeeder::Shown> SuperSeeder::doubt(const PeerId& id) {
  std::vector<Shown> out;
  const auto found = peers_.find(id);
  if (found == peers_.end() || found->second.slow) return out;
  Peer& slow = found->second;
  slow.slow = true;
  slow.open_counted = 0;
  slow.counted.for_each([&](PieceIndex piece) {
    uncount(slow, piece);
    doubtful_.set(piece);
  });
  for (auto& [other, peer] : peers_) {
    if (other != id) show_more(other, peer, out);
  }
  return out;
}

void SuperSeeder::trust(const PeerId& id) {
  const auto found = peers_.find(id);
  if (found == peers_.end() || !std::exchange(found->second.slow, false)) return;
  count_what_it_has(found->second);
}

/// Once everything has left, the peers have it from each other; only what none has is shown again.
uint64_t SuperSeeder::worth_showing(const Peer& peer, size_t word) const {
  const uint64_t hidden = ~peer.shown.words()[word];
  if (!peer.needy) return hidden & uncounted_.words()[word];
  const auto left = static_cast<uint32_t>(copies_.size() - word * 64);
  return left >= 64 ? hidden : hidden & ((uint64_t{1} << left) - 1);
}

void SuperSeeder::show_more(const PeerId& id, Peer& peer, std::vector<Shown>& out) {
  if (peers_.size() == 1) return show_all(id, peer, out);
  while (peer.open < wanted() && show_best(id, peer, out)) {
  }
}

uint32_t SuperSeeder::wanted() const {
  return never_given_ == 0 ? 1 : shown_at_a_time(peers_.size());
}

/// Runs for each piece that a peer gets, so it looks at 64 at once: few of them are worth it most of the
/// time.
bool SuperSeeder::show_best(const PeerId& id, Peer& peer, std::vector<Shown>& out) {
  std::optional<PieceIndex> best;
  for (size_t word = 0; word < peer.shown.words().size(); ++word) {
    Bitfield::for_each_in(worth_showing(peer, word), static_cast<uint32_t>(word * 64), [&](PieceIndex piece) {
      if (!best || rank(piece) < rank(*best)) best = piece;
    });
    if (best && rank(*best) == best_rank) break;  // there is no better one
  }
  if (!best) return false;
  show(id, peer, *best, out);
  return true;
}

/// To the only one, the best first.
void SuperSeeder::show_all(const PeerId& id, Peer& peer, std::vector<Shown>& out) {
  std::vector<PieceIndex> hidden;
  for (PieceIndex piece = 0; piece < copies_.size(); ++piece) {
    if (!peer.shown.test(piece)) hidden.push_back(piece);
  }
  std::stable_sort(hidden.begin(), hidden.end(), [this](auto a, auto b) { return rank(a) < rank(b); });
  for (const PieceIndex piece : hidden) show(id, peer, piece, out);
}

void SuperSeeder::show(const PeerId& id, Peer& peer, PieceIndex piece, std::vector<Shown>& out) {
  peer.shown.set(piece);
  ++peer.open;
  if (!peer.slow && peer.open_counted < share(peers_.size())) {
    ++peer.open_counted;
    count(peer, piece);
  }
  out.push_back({id, piece});
}

}  // namespace krakend::p2p
