#include "p2p/peer_backoff.h"

#include <algorithm>

namespace krakend::p2p {

PeerBackoff::Entry& PeerBackoff::entry(const PeerId& peer, TimePoint now) {
  if (entries_.size() >= max_entries) {
    std::erase_if(entries_, [now](const auto& item) { return item.second.until <= now; });
  }
  return entries_[peer];
}

void PeerBackoff::refused(const PeerId& peer, TimePoint now) {
  auto& e = entry(peer, now);
  e.pause = e.pause == Duration{} ? first_pause : std::min(e.pause * 2, blacklist_duration_);
  e.until = std::max(e.until, now + e.pause);
}

void PeerBackoff::fault(const PeerId& peer, TimePoint now) {
  auto& e = entry(peer, now);
  e.pause = blacklist_duration_;
  e.until = now + blacklist_duration_;
  e.fault = true;
}

bool PeerBackoff::allowed(const PeerId& peer, TimePoint now) const {
  const auto found = entries_.find(peer);
  return found == entries_.end() || found->second.until <= now;
}

bool PeerBackoff::is_faulty(const PeerId& peer, TimePoint now) const {
  const auto found = entries_.find(peer);
  return found != entries_.end() && found->second.fault && found->second.until > now;
}

}  // namespace krakend::p2p
