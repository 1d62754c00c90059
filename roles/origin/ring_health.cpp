#include "roles/origin/ring_health.h"

#include <utility>

#include "krakend/io/parallel.h"

namespace krakend::origin {
namespace {

constexpr size_t parallel_probes = 32;

}  // namespace

RingHealth::RingHealth(Services services, std::vector<std::string> members, Logger log)
    : services_(services), members_(std::move(members)), log_(std::move(log)) {
  for (const std::string& host : members_) states_[host];
}

bool RingHealth::healthy(const std::string& host) const {
  const auto found = states_.find(host);
  return found == states_.end() || found->second.healthy;
}

Task<> RingHealth::run() {
  while (!members_.empty()) {
    std::function<Task<>(size_t)> work = [this](size_t i) { return probe(members_[i]); };
    co_await io::run_parallel(services_.loop, services_.tasks, members_.size(), parallel_probes, work);
    co_await services_.clock.sleep(interval);
  }
}

Task<> RingHealth::probe(std::string host) {
  auto address = io::Address::parse(host);
  if (!address) {
    note(host, false);
    co_return;
  }
  http::ClientRequest request;
  request.host = *address;
  request.target = "/health";
  request.connect_timeout = timeout;
  request.total_timeout = timeout;
  auto response = co_await services_.client.send(std::move(request));
  note(host, response && response->status == 200);
}

void RingHealth::note(const std::string& host, bool passed) {
  State& state = states_[host];
  if (passed == state.healthy) {
    state.contrary = 0;
    return;
  }
  if (++state.contrary < (passed ? passes : fails)) return;
  state = State{passed, 0};
  log_.warn("origin {} is {} now", host, passed ? "healthy" : "unhealthy");
  if (changed_) changed_();
}

}  // namespace krakend::origin
