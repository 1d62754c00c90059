#include "http/client_pool.h"

namespace krakend::http {

ClientConnectionPtr ClientPool::take(const io::Address& host, TimePoint now) {
  const std::lock_guard lock(mutex_);
  const auto place = idle_.find(host.str());
  if (place == idle_.end()) return nullptr;
  auto [connection, since] = std::move(place->second.back());
  place->second.pop_back();
  --count_;
  if (place->second.empty()) idle_.erase(place);
  // The last one is the youngest: when it is too old, the sweep will find the others.
  return now - since <= max_idle_age ? connection : nullptr;
}

void ClientPool::give(const io::Address& host, ClientConnectionPtr connection, TimePoint now) {
  if (!connection->reusable() || max_idle_per_host_ == 0) return;
  const std::lock_guard lock(mutex_);
  if (count_ >= max_idle) {
    idle_.clear();
    count_ = 0;
  }
  auto& idle = idle_[host.str()];
  if (idle.size() >= max_idle_per_host_) return;
  idle.push_back({std::move(connection), now});
  ++count_;
}

bool ClientPool::sweep(TimePoint now) {
  const std::lock_guard lock(mutex_);
  for (auto place = idle_.begin(); place != idle_.end();) {
    auto& idle = place->second;
    count_ -= std::erase_if(idle, [now](const Idle& item) { return now - item.since > max_idle_age; });
    place = idle.empty() ? idle_.erase(place) : std::next(place);
  }
  return count_ > 0;
}

}  // namespace krakend::http
