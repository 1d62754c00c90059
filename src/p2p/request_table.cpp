#include "p2p/request_table.h"

#include <algorithm>

namespace krakend::p2p {

void RequestTable::add(const PeerId& peer, PieceIndex piece, TimePoint now) {
  by_piece_[piece].push_back({peer, now});
  by_peer_[peer].push_back(piece);
  ++size_;
}

void RequestTable::clear() {
  by_piece_.clear();
  by_peer_.clear();
  size_ = 0;
}

bool RequestTable::erase(const PeerId& peer, PieceIndex piece) {
  const auto found = by_piece_.find(piece);
  if (found == by_piece_.end()) return false;
  auto& requests = found->second;
  const size_t erased = std::erase_if(requests, [&](const Request& r) { return r.peer == peer; });
  if (erased == 0) return false;
  size_ -= erased;
  if (requests.empty()) by_piece_.erase(found);
  auto& pieces = by_peer_.find(peer)->second;
  std::erase(pieces, piece);
  if (pieces.empty()) by_peer_.erase(peer);
  return true;
}

std::vector<PieceIndex> RequestTable::erase_peer(const PeerId& peer) {
  std::vector<PieceIndex> free;
  const auto found = by_peer_.find(peer);
  if (found == by_peer_.end()) return free;
  const auto pieces = found->second;
  for (const auto piece : pieces) {
    erase(peer, piece);
    if (!requested(piece)) free.push_back(piece);
  }
  return free;
}

std::vector<PeerId> RequestTable::erase_piece(PieceIndex piece) {
  std::vector<PeerId> peers;
  const auto found = by_piece_.find(piece);
  if (found == by_piece_.end()) return peers;
  for (const auto& request : found->second) peers.push_back(request.peer);
  for (const auto& peer : peers) erase(peer, piece);
  return peers;
}

unsigned RequestTable::outstanding(const PeerId& peer) const {
  const auto found = by_peer_.find(peer);
  return found == by_peer_.end() ? 0 : static_cast<unsigned>(found->second.size());
}

std::vector<PieceIndex> RequestTable::of_peer(const PeerId& peer) const {
  const auto found = by_peer_.find(peer);
  return found == by_peer_.end() ? std::vector<PieceIndex>{} : found->second;
}

std::optional<TimePoint> RequestTable::oldest(const PeerId& peer) const {
  const auto found = by_peer_.find(peer);
  if (found == by_peer_.end()) return std::nullopt;
  std::optional<TimePoint> oldest;
  for (const auto piece : found->second) {
    for (const auto& request : by_piece_.find(piece)->second) {
      if (request.peer == peer && (!oldest || request.sent < *oldest)) oldest = request.sent;
    }
  }
  return oldest;
}

std::optional<PieceIndex> RequestTable::overdue_for(const PeerId& peer, const Bitfield& pieces,
                                                    const Bitfield& arriving, TimePoint now,
                                                    Duration min_age) const {
  std::optional<PieceIndex> best;
  TimePoint best_sent = now - min_age;
  for (const auto& [piece, requests] : by_piece_) {
    if (requests.size() != 1 || !pieces.test(piece) || arriving.test(piece)) continue;
    const auto& only = requests.front();
    if (only.peer == peer || only.sent > best_sent) continue;
    best_sent = only.sent;
    best = piece;
  }
  return best;
}

bool RequestTable::any_overdue(const Bitfield& arriving, TimePoint now, Duration min_age) const {
  return std::any_of(by_piece_.begin(), by_piece_.end(), [&](const auto& entry) {
    const auto& [piece, requests] = entry;
    return requests.size() == 1 && requests.front().sent <= now - min_age && !arriving.test(piece);
  });
}

}  // namespace krakend::p2p
