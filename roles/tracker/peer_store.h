#pragma once

#include <cstdint>
#include <list>
#include <string>
#include <unordered_map>
#include <vector>

#include "krakend/core/ids.h"
#include "krakend/core/peer.h"
#include "krakend/core/time.h"
#include "krakend/io/random.h"

namespace krakend::tracker {

struct PeerStoreLimits {
  /// A peer that does not announce again is forgotten after this.
  Duration ttl = 5h;
  /// Beyond each of these the entry that announced longest ago goes.
  size_t max_torrents = 100'000;
  size_t max_peers_per_torrent = 50'000;
  /// Over all torrents; an entry takes about 200 bytes.
  size_t max_peers = 2'000'000;
};

/// Who announced what, in memory (contract p2p §15.2). Pure: time and randomness are arguments. Peers are
/// always handed out with origin:false.
class PeerStore {
 public:
  explicit PeerStore(PeerStoreLimits limits = {}) : limits_(limits) {}

  void update(const InfoHash& torrent, const PeerInfo& peer, TimePoint now);
  /// Up to `count` distinct peers, chosen uniformly, without `except` and without those that have expired.
  /// Costs in proportion to `count`, not to the size of the torrent.
  std::vector<PeerInfo> sample(const InfoHash& torrent, size_t count, const PeerId& except, TimePoint now,
                               io::Random& random) const;
  /// Forgets what has expired; returns how many peers.
  size_t cleanup(TimePoint now);

  size_t torrents() const { return torrents_.size(); }
  size_t peers() const { return peers_; }
  size_t peers(const InfoHash& torrent) const;

 private:
  static constexpr uint32_t none = UINT32_MAX;
  struct Peer {
    PeerId id;
    std::string ip;
    int port = 0;
    bool complete = false;
    TimePoint expires;
    /// Neighbours in the order of the last announce.
    uint32_t older = none;
    uint32_t newer = none;
  };
  /// Peers in one array, for sampling by index, threaded by a list from oldest to newest announce.
  struct Torrent {
    std::vector<Peer> peers;
    std::unordered_map<PeerId, uint32_t> index;
    uint32_t oldest = none;
    uint32_t newest = none;
    std::list<InfoHash>::iterator place;

    void link_newest(uint32_t at);
    void unlink(uint32_t at);
    void remove(uint32_t at);
  };

  Torrent& touch(const InfoHash& hash);
  void remove_torrent(const InfoHash& hash);
  void enforce_limits(Torrent& torrent);

  PeerStoreLimits limits_;
  std::unordered_map<InfoHash, Torrent> torrents_;
  /// Torrents from the one announced longest ago to the latest.
  std::list<InfoHash> order_;
  size_t peers_ = 0;
};

}  // namespace krakend::tracker
