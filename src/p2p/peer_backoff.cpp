#include "p2p/peer_backoff.h"

#include <algorithm>

namespace krakend::p2p {

PeerBackoff::Entry& PeerBackoff::entry(const PeerId& peer, TimePoint now) {
  if (entries_.size() >= max_entries) {
    std::erase_if(entries_, [now](const auto& item) { return item.second.until <= now; });
  }
  if (entries_.size() >= max_entries) {
    entries_.erase(entries_.begin());
    crowded_.add();
  }
  return entries_[peer];
}

Duration PeerBackoff::refused(const PeerId& peer, TimePoint now) {
  auto& e = entry(peer, now);
  e.pause = e.pause == Duration{} ? std::min(first_pause, longest_) : std::min(e.pause * 2, longest_);
  e.until = std::max(e.until, now + e.pause);
  return e.pause;
}

Duration PeerBackoff::busy(const PeerId& peer, TimePoint now, Duration retry) {
  auto& e = entry(peer, now);
  const Duration pause = std::clamp(retry, std::min(first_pause, longest_), longest_);
  e.until = std::max(e.until, now + pause);
  return pause;
}

Duration PeerBackoff::fault(const PeerId& peer, TimePoint now) {
  auto& e = entry(peer, now);
  e.pause = longest_;
  e.until = std::max(e.until, now + longest_);
  e.fault = true;
  return e.pause;
}

void PeerBackoff::ban(const PeerId& peer, const std::string& host) {
  auto& e = entries_[peer];
  const bool known = e.until == TimePoint::max();
  e.until = TimePoint::max();
  e.fault = true;
  if (!known && (liars_.size() < max_entries || liars_.contains(host))) ++liars_[host];
}

void PeerBackoff::succeeded(const PeerId& peer) {
  const auto found = entries_.find(peer);
  if (found != entries_.end() && found->second.until != TimePoint::max()) entries_.erase(found);
}

bool PeerBackoff::allowed(const PeerId& peer, TimePoint now) const {
  const auto found = entries_.find(peer);
  return found == entries_.end() || found->second.until <= now;
}

bool PeerBackoff::is_faulty(const PeerId& peer, TimePoint now) const {
  const auto found = entries_.find(peer);
  return found != entries_.end() && found->second.fault && found->second.until > now;
}

bool PeerBackoff::is_banned(const PeerId& peer) const {
  const auto found = entries_.find(peer);
  return found != entries_.end() && found->second.until == TimePoint::max();
}

bool PeerBackoff::is_banned_host(const std::string& host) const {
  const auto found = liars_.find(host);
  return found != liars_.end() && found->second >= max_liars_of_host;
}

void PeerBackoff::clear() {
  entries_.clear();
  liars_.clear();
}

std::vector<std::pair<PeerId, Duration>> PeerBackoff::list(TimePoint now) const {
  std::vector<std::pair<PeerId, Duration>> all;
  for (const auto& [peer, e] : entries_) {
    if (e.until > now) all.emplace_back(peer, e.until - now);
  }
  return all;
}

}  // namespace krakend::p2p
