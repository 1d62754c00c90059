#include <algorithm>

#include "p2p/torrent.h"

namespace krakend::p2p {

TorrentStatus Torrent::status() const {
  const auto now = context_->clock.now();
  TorrentStatus s;
  s.digest = info_->digest();
  s.info_hash = info_->info_hash();
  s.ns = ns_;
  s.length = info_->length();
  s.pieces = info_->piece_count();
  s.pieces_have = have_.count();
  s.complete = complete_;
  s.bytes_from_origins = from_origins_;
  s.bytes_from_peers = from_peers_;
  s.bytes_sent = sent_;
  s.retries = retries_;
  s.seconds = to_seconds((complete_ ? finished_ : now) - started_);
  if (!complete_) s.rarity = picker_.rarity();
  s.readers = readers_;
  s.waits_for = waits_for();
  for (const auto& [id, connection] : peers_) {
    PeerStatus peer;
    peer.peer_id = id;
    peer.address = connection->address().str();
    peer.origin = connection->origin();
    peer.opener = connection->opener();
    peer.pieces = connection->have().count();
    peer.bytes_received = connection->received;
    peer.bytes_sent = connection->sent;
    peer.receive_rate = connection->incoming.rate();
    peer.send_rate = connection->outgoing.rate();
    peer.requests = requests_.of_peer(id);
    if (const auto oldest = requests_.oldest(id)) peer.oldest_request = to_seconds(now - *oldest);
    peer.requests_of_peer = static_cast<unsigned>(connection->queued_pieces());
    peer.silent = connection->snubbed;
    peer.age = to_seconds(now - connection->since);
    s.peers.push_back(std::move(peer));
  }
  return s;
}

void Torrent::add_use(SwarmUse& use) const {
  ++use.torrents;
  use.connections += peers_.size();
  use.connections_of_torrent = std::max(use.connections_of_torrent, peers_.size());
  use.left_alone += backoff_.size();
  for (const auto& [id, connection] : peers_) {
    use.queued_requests += connection->queued_pieces();
    use.queued_requests_of_peer = std::max(use.queued_requests_of_peer, connection->queued_pieces());
  }
}

/// One sentence for whoever looks at a download that does not end.
std::string Torrent::waits_for() const {
  if (failure_) return "failed: " + failure_->message;
  if (complete_) return committing_ ? "all is there and right, it is being made durable" : "";
  if (have_.all()) return "all pieces are there, the SHA-256 of the whole is computed";
  const uint32_t missing = have_.size() - have_.count();
  if (peers_.empty()) {
    if (!announce_error_.empty()) return "no peer: " + announce_error_;
    if (!dialing_.empty()) return fmt::format("no peer: {} are being dialled", dialing_.size());
    if (named_ > 0)
      return fmt::format("no peer: {} are named, {} dials failed, tried again soon", named_, unreachable_);
    return banned_ > 0 ? fmt::format("no peer: all {} that have it sent wrong bytes", banned_)
                       : "no peer: the tracker knows nobody else";
  }
  if (!requests_.empty()) {
    size_t asked = 0;
    for (const auto& [id, connection] : peers_) asked += requests_.outstanding(id) > 0 ? 1 : 0;
    return fmt::format("{} requests to {} of {} peers are open, {} pieces are missing", requests_.size(),
                       asked, peers_.size(), missing);
  }
  size_t useful = 0;
  for (const auto& [id, connection] : peers_)
    useful += picker_.interested(connection->have()) && !connection->snubbed ? 1 : 0;
  if (useful == 0)
    return fmt::format("none of {} peers has any of {} missing pieces", peers_.size(), missing);
  if (context_->budget.allows(info_->piece_length()))
    return fmt::format("{} of {} peers have some of {} missing pieces, and say that they are busy", useful,
                       peers_.size(), missing);
  return "other downloads of this process have requested all that the link brings";
}

void Torrent::append_blacklist(std::vector<BlacklistEntry>& all) const {
  // Bans last as long as the torrent: a number that says "long" to whoever reads nanoseconds.
  constexpr Duration longest = std::chrono::hours(24 * 365);
  for (const auto& [peer, remaining] : backoff_.list(context_->clock.now()))
    all.push_back({peer, info_->info_hash(), std::min(remaining, longest)});
}

/// Null beyond max_counted peers.
PeerCounts* Torrent::counts(Connection& connection) {
  if (connection.counted == nullptr) {
    const auto found = counts_.find(connection.id());
    if (found != counts_.end())
      connection.counted = &found->second;
    else if (counts_.size() < max_counted)
      connection.counted = &counts_[connection.id()];
  }
  return connection.counted;
}

}  // namespace krakend::p2p
