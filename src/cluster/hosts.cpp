#include "krakend/cluster/hosts.h"

#include <algorithm>
#include <deque>
#include <unordered_map>

#include "krakend/core/rendezvous.h"

namespace krakend::cluster {

struct PassiveHealth::Impl {
  struct Host {
    std::deque<TimePoint> failures;
    std::optional<TimePoint> out_since;
  };
  io::Clock& clock;
  unsigned fails;
  Duration fail_timeout;
  std::unordered_map<std::string, Host> hosts;
};

PassiveHealth::PassiveHealth(io::Clock& clock, unsigned fails, Duration fail_timeout)
    : impl_(std::make_unique<Impl>(Impl{clock, fails, fail_timeout, {}})) {}
PassiveHealth::~PassiveHealth() = default;

void PassiveHealth::failed(const std::string& host) {
  const auto now = impl_->clock.now();
  auto& state = impl_->hosts[host];
  std::erase_if(state.failures, [&](TimePoint at) { return now - at > impl_->fail_timeout; });
  state.failures.push_back(now);
  if (state.failures.size() > impl_->fails) state.failures.pop_front();
  if (state.failures.size() >= impl_->fails) state.out_since = now;
}

bool PassiveHealth::healthy(const std::string& host) const {
  const auto found = impl_->hosts.find(host);
  if (found == impl_->hosts.end() || !found->second.out_since) return true;
  return impl_->clock.now() - *found->second.out_since > impl_->fail_timeout;
}

std::vector<std::string> PassiveHealth::filter(const std::vector<std::string>& hosts) const {
  std::vector<std::string> good;
  std::copy_if(hosts.begin(), hosts.end(), std::back_inserter(good),
               [this](const auto& h) { return healthy(h); });
  return good.empty() ? hosts : good;
}

HashRing::HashRing(std::vector<std::string> members, unsigned max_replica, HealthFn healthy)
    : members_(std::move(members)), max_replica_(max_replica), healthy_(std::move(healthy)) {}

std::vector<std::string> HashRing::locations(const Digest& digest) const {
  std::vector<RendezvousNode> nodes;
  nodes.reserve(members_.size());
  for (const auto& member : members_) nodes.push_back({member, 100});
  const auto order = rendezvous_order(digest.shard_id(), nodes);
  std::vector<std::string> owners;
  for (size_t i = 0; i < order.size() && (owners.empty() || i < max_replica_); ++i) {
    const auto& member = members_[order[i]];
    if (!healthy_ || healthy_(member)) owners.push_back(member);
  }
  if (owners.empty() && !order.empty()) owners.push_back(members_[order.front()]);
  return owners;
}

bool HashRing::contains(const std::string& host) const {
  return std::find(members_.begin(), members_.end(), host) != members_.end();
}

}  // namespace krakend::cluster
