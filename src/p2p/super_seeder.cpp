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

Bitfield SuperSeeder::add_peer(const PeerId& id, const Bitfield& have) {
  (void)remove_peer(id);
  Peer& peer = peers_[id];
  peer.have = have;
  peer.shown = have;
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
  const Peer& gone = found->second;
  for (PieceIndex piece = 0; piece < copies_.size(); ++piece)
    copies_[piece] -= gone.counted.test(piece) ? 1 : 0;
  peers_.erase(found);
  for (auto& [other, peer] : peers_) show_more(other, peer, out);
  return out;
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
  if (!peer.slow && peer.counted.set(piece)) ++copies_[piece];
}

void SuperSeeder::count_what_it_has(Peer& peer) {
  for (PieceIndex piece = 0; piece < copies_.size(); ++piece) {
    if (peer.have.test(piece)) count(peer, piece);
  }
}

void SuperSeeder::uncount(Peer& peer, PieceIndex piece) {
  peer.counted.clear(piece);
  --copies_[piece];
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
  for (PieceIndex piece = 0; piece < copies_.size(); ++piece) {
    if (!slow.counted.test(piece)) continue;
    uncount(slow, piece);
    doubtful_.set(piece);
  }
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

bool SuperSeeder::worth_showing(const Peer& peer, PieceIndex piece) const {
  return peer.needy || peers_.size() == 1 || copies_[piece] < few_copies;
}

void SuperSeeder::show_more(const PeerId& id, Peer& peer, std::vector<Shown>& out) {
  while (peer.open < wanted() && show_best(id, peer, out)) {
  }
}

uint32_t SuperSeeder::wanted() const {
  const uint32_t at_a_time = shown_at_a_time(peers_.size());
  return never_given_ == 0 && peers_.size() > 1 ? 1 : at_a_time;
}

bool SuperSeeder::show_best(const PeerId& id, Peer& peer, std::vector<Shown>& out) {
  std::optional<PieceIndex> best;
  for (PieceIndex piece = 0; piece < copies_.size(); ++piece) {
    if (peer.shown.test(piece) || !worth_showing(peer, piece)) continue;
    if (!best || rank(piece) < rank(*best)) best = piece;
    if (rank(*best) == best_rank) break;  // there is no better one
  }
  if (!best) return false;
  peer.shown.set(*best);
  ++peer.open;
  if (!peer.slow && peer.open_counted < share(peers_.size())) {
    ++peer.open_counted;
    count(peer, *best);
  }
  out.push_back({id, *best});
  return true;
}

}  // namespace krakend::p2p
