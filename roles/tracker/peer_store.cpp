#include "roles/tracker/peer_store.h"

#include <algorithm>

namespace krakend::tracker {

void PeerStore::Torrent::link_newest(uint32_t at) {
  peers[at].older = newest;
  peers[at].newer = none;
  (newest == none ? oldest : peers[newest].newer) = at;
  newest = at;
}

void PeerStore::Torrent::unlink(uint32_t at) {
  const Peer& peer = peers[at];
  (peer.older == none ? oldest : peers[peer.older].newer) = peer.newer;
  (peer.newer == none ? newest : peers[peer.newer].older) = peer.older;
}

void PeerStore::Torrent::remove(uint32_t at) {
  unlink(at);
  index.erase(peers[at].id);
  const uint32_t last = static_cast<uint32_t>(peers.size() - 1);
  if (at != last) {
    peers[at] = std::move(peers[last]);
    const Peer& moved = peers[at];
    (moved.older == none ? oldest : peers[moved.older].newer) = at;
    (moved.newer == none ? newest : peers[moved.newer].older) = at;
    index[moved.id] = at;
  }
  peers.pop_back();
}

PeerStore::Torrent& PeerStore::touch(const InfoHash& hash) {
  const auto [found, added] = torrents_.try_emplace(hash);
  Torrent& torrent = found->second;
  if (added) {
    torrent.place = order_.insert(order_.end(), hash);
  } else {
    order_.splice(order_.end(), order_, torrent.place);
  }
  return torrent;
}

void PeerStore::update(const InfoHash& torrent_hash, const PeerInfo& info, TimePoint now) {
  Torrent& torrent = touch(torrent_hash);
  const auto [found, added] =
      torrent.index.try_emplace(info.peer_id, static_cast<uint32_t>(torrent.peers.size()));
  if (added) {
    torrent.peers.emplace_back();
    ++peers_;
  } else {
    torrent.unlink(found->second);
  }
  Peer& peer = torrent.peers[found->second];
  peer.id = info.peer_id;
  peer.ip = info.ip;
  peer.port = info.port;
  peer.complete = info.complete;
  peer.expires = now + limits_.ttl;
  torrent.link_newest(found->second);
  enforce_limits(torrent);
}

/// `torrent` has just been announced, so it is the newest and stays.
void PeerStore::enforce_limits(Torrent& torrent) {
  while (torrent.peers.size() > limits_.max_peers_per_torrent && torrent.peers.size() > 1) {
    torrent.remove(torrent.oldest);
    --peers_;
  }
  while (order_.size() > 1 && (torrents_.size() > limits_.max_torrents || peers_ > limits_.max_peers)) {
    const InfoHash oldest = order_.front();
    remove_torrent(oldest);
  }
}

void PeerStore::remove_torrent(const InfoHash& hash) {
  const auto found = torrents_.find(hash);
  peers_ -= found->second.peers.size();
  order_.erase(found->second.place);
  torrents_.erase(found);
}

std::vector<PeerInfo> PeerStore::sample(const InfoHash& torrent, size_t count, const PeerId& except,
                                        TimePoint now, io::Random& random) const {
  std::vector<PeerInfo> out;
  const auto found = torrents_.find(torrent);
  if (found == torrents_.end()) return out;
  const std::vector<Peer>& peers = found->second.peers;
  // A shuffle from the front of which only the touched places are stored.
  std::unordered_map<size_t, size_t> moved;
  const auto at = [&moved](size_t i) {
    const auto place = moved.find(i);
    return place == moved.end() ? i : place->second;
  };
  for (size_t i = 0; i < peers.size() && out.size() < count; ++i) {
    const size_t j = i + random.below(peers.size() - i);
    const Peer& peer = peers[at(j)];
    moved[j] = at(i);
    if (peer.id == except || peer.expires <= now) continue;
    out.push_back({peer.id, peer.ip, peer.port, false, peer.complete});
  }
  return out;
}

size_t PeerStore::cleanup(TimePoint now) {
  const size_t before = peers_;
  for (auto next = order_.begin(); next != order_.end();) {
    const InfoHash hash = *next++;
    Torrent& torrent = torrents_.at(hash);
    while (torrent.oldest != none && torrent.peers[torrent.oldest].expires <= now) {
      torrent.remove(torrent.oldest);
      --peers_;
    }
    if (torrent.peers.empty()) remove_torrent(hash);
  }
  return before - peers_;
}

size_t PeerStore::peers(const InfoHash& torrent) const {
  const auto found = torrents_.find(torrent);
  return found == torrents_.end() ? 0 : found->second.peers.size();
}

}  // namespace krakend::tracker
