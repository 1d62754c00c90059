#pragma once

#include <unordered_map>

#include "krakend/core/ids.h"
#include "krakend/core/time.h"

namespace krakend::p2p {

/// Which peers of a torrent are left alone, and until when. A refused connection ("I am full", or gone) costs
/// a short pause that grows; a fault (wrong bytes, broken protocol) costs the whole blacklist period at once.
/// Pure: time is an argument.
class PeerBackoff {
 public:
  static constexpr Duration first_pause = 500ms;
  /// Peers remembered; beyond, the ones whose time has passed are dropped.
  static constexpr size_t max_entries = 4096;

  explicit PeerBackoff(Duration blacklist_duration) : blacklist_duration_(blacklist_duration) {}

  void refused(const PeerId& peer, TimePoint now);
  void fault(const PeerId& peer, TimePoint now);
  /// The connection worked: its pauses start small again.
  void succeeded(const PeerId& peer) { entries_.erase(peer); }
  bool allowed(const PeerId& peer, TimePoint now) const;
  bool is_faulty(const PeerId& peer, TimePoint now) const;
  void clear() { entries_.clear(); }

 private:
  struct Entry {
    TimePoint until;
    Duration pause{};
    bool fault = false;
  };
  Entry& entry(const PeerId& peer, TimePoint now);

  Duration blacklist_duration_;
  std::unordered_map<PeerId, Entry> entries_;
};

}  // namespace krakend::p2p
