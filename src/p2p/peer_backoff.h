#pragma once

#include <map>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "krakend/core/ids.h"
#include "krakend/core/metrics.h"
#include "krakend/core/time.h"

namespace krakend::p2p {

/// Which peers of a torrent are left alone, and until when. A connection refused without a word (full, or
/// gone) costs a short pause that grows; a peer that says it is busy, the one it names; a fault (broken
/// protocol) costs the whole blacklist period at once; wrong bytes are never forgiven, and a host under which
/// several liars came is not listened to either. Pure: time is an argument.
class PeerBackoff {
 public:
  static constexpr Duration first_pause = 500ms;
  /// Peers remembered; beyond, the ones whose time has passed are dropped.
  static constexpr size_t max_entries = 4096;
  /// Liars of one host, each under another id, before the host itself is banned.
  static constexpr unsigned max_liars_of_host = 3;

  /// `crowded` counts peers that are forgotten too early, because there are too many.
  explicit PeerBackoff(Duration blacklist_duration, bool disabled = false, Counter crowded = {})
      : crowded_(std::move(crowded)) {
    configure(blacklist_duration, disabled);
  }
  /// `disabled`: pauses do not grow beyond the first one.
  void configure(Duration blacklist_duration, bool disabled) {
    longest_ = disabled ? std::min(first_pause, blacklist_duration) : blacklist_duration;
  }

  /// Each returns the pause that it costs.
  Duration refused(const PeerId& peer, TimePoint now);
  /// It said when to come again: that long, within reason, and no longer the next time.
  Duration busy(const PeerId& peer, TimePoint now, Duration retry);
  Duration fault(const PeerId& peer, TimePoint now);
  /// Wrong bytes: banned for as long as the torrent lives.
  void ban(const PeerId& peer, const std::string& host);
  /// The connection worked: its pauses start small again.
  void succeeded(const PeerId& peer);
  bool allowed(const PeerId& peer, TimePoint now) const;
  bool is_faulty(const PeerId& peer, TimePoint now) const;
  bool is_banned(const PeerId& peer) const;
  bool is_banned_host(const std::string& host) const;
  void clear();
  /// Who is left alone now, and for how long.
  std::vector<std::pair<PeerId, Duration>> list(TimePoint now) const;
  /// Peers remembered, those included whose time has passed.
  size_t size() const { return entries_.size(); }

 private:
  struct Entry {
    TimePoint until;
    Duration pause{};
    bool fault = false;
  };
  Entry& entry(const PeerId& peer, TimePoint now);

  Counter crowded_;
  Duration longest_{};
  std::unordered_map<PeerId, Entry> entries_;
  std::map<std::string, unsigned> liars_;  ///< by host
};

}  // namespace krakend::p2p
