#include "roles/origin/ring_health.h"

#include <algorithm>
#include <utility>

#include "krakend/io/parallel.h"

namespace krakend::origin {
namespace {

constexpr size_t parallel_probes = 32;

}  // namespace

RingHealth::RingHealth(Services services, cluster::Hosts members, std::string self, RingHealthOptions options,
                       Logger log)
    : services_(services),
      members_(std::move(members)),
      self_(std::move(self)),
      options_(options),
      log_(std::move(log)) {}

bool RingHealth::healthy(const std::string& host) const {
  const auto found = states_.find(host);
  return found == states_.end() || found->second.healthy;
}

Task<> RingHealth::run() {
  for (;;) {
    std::vector<std::string> hosts = members_.list();
    std::erase_if(states_, [&hosts](const auto& state) {
      return std::find(hosts.begin(), hosts.end(), state.first) == hosts.end();
    });
    std::erase(hosts, self_);
    std::function<Task<>(size_t)> work = [this, &hosts](size_t i) { return probe(hosts[i]); };
    co_await io::run_parallel(services_.loop, services_.tasks, hosts.size(), parallel_probes, work);
    co_await services_.clock.sleep(options_.interval);
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
  request.connect_timeout = options_.timeout;
  request.total_timeout = options_.timeout;
  auto response = co_await services_.client.send(std::move(request));
  note(host, response && response->status == 200);
}

void RingHealth::note(const std::string& host, bool passed) {
  State& state = states_[host];
  if (passed == state.healthy) {
    state.contrary = 0;
    return;
  }
  if (++state.contrary < (passed ? options_.passes : options_.fails)) return;
  state = State{passed, 0};
  log_.warn("origin {} is {} now", host, passed ? "healthy" : "unhealthy");
  if (changed_) changed_();
}

}  // namespace krakend::origin
