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

Hosts::Hosts(std::vector<std::string> hosts) : state_(std::make_shared<State>()) {
  state_->hosts = std::move(hosts);
}

bool Hosts::contains(const std::string& host) const {
  return std::find(list().begin(), list().end(), host) != list().end();
}

void Hosts::set(std::vector<std::string> hosts) const {
  const auto sorted = [](std::vector<std::string> of) {
    std::sort(of.begin(), of.end());
    return of;
  };
  if (sorted(hosts) == sorted(state_->hosts)) return;
  state_->hosts = std::move(hosts);
  for (const auto& changed : state_->watchers) changed();
}

HostWatch::HostWatch(io::Loop& loop, io::Net& net, io::Clock& clock, HostsOptions options, Logger log)
    : net_(net),
      clock_(clock),
      options_(std::move(options)),
      hosts_(options_.fixed),
      log_(std::move(log)),
      configured_(loop) {}

Task<Result<void>> HostWatch::refresh() {
  if (options_.dns.empty()) co_return Result<void>{};
  const std::string dns = options_.dns;
  auto name = io::Address::parse(dns);
  if (!name) co_return propagate(name);
  auto found = co_await net_.resolve(name->host, resolve_timeout);
  if (options_.dns != dns) co_return Result<void>{};  // what was asked for is not wanted any more
  if (!found) co_return propagate(found);
  std::vector<std::string> hosts;
  for (const std::string& address : *found) {
    std::string host = io::Address{address, name->port}.str();
    if (std::find(hosts.begin(), hosts.end(), host) == hosts.end()) hosts.push_back(std::move(host));
  }
  hosts_.set(std::move(hosts));
  co_return Result<void>{};
}

void HostWatch::configure(const HostsOptions& options) {
  if (options == options_) return;
  options_ = options;
  if (options_.dns.empty()) hosts_.set(options_.fixed);
  configured_.notify_all();
}

Task<> HostWatch::run() {
  for (;;) {
    if (options_.dns.empty()) {
      co_await configured_.wait();
      continue;
    }
    auto refreshed = co_await refresh();
    if (!refreshed && !failing_) {
      log_.warn("hosts of {} are not known anew, {} stay: {}", options_.dns, hosts_.list().size(),
                refreshed.error().message);
    }
    failing_ = !refreshed;
    (void)co_await configured_.wait_for(clock_, options_.ttl);
  }
}

HashRing::HashRing(Hosts members, unsigned max_replica, HealthFn healthy)
    : members_(std::move(members)), max_replica_(max_replica), healthy_(std::move(healthy)) {}

std::vector<std::string> HashRing::locations(const Digest& digest) const {
  std::vector<RendezvousNode> nodes;
  const std::vector<std::string>& members = members_.list();
  nodes.reserve(members.size());
  for (const auto& member : members) nodes.push_back({member, 100});
  const auto order = rendezvous_order(digest.shard_id(), nodes);
  std::vector<std::string> owners;
  for (size_t i = 0; i < order.size() && (owners.empty() || i < max_replica_); ++i) {
    const auto& member = members[order[i]];
    if (!healthy_ || healthy_(member)) owners.push_back(member);
  }
  if (owners.empty() && !order.empty()) owners.push_back(members[order.front()]);
  return owners;
}

}  // namespace krakend::cluster
