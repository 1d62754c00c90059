#include "roles/agent/readiness.h"

#include <algorithm>
#include <utility>

#include "krakend/core/time.h"

namespace krakend::agent {

namespace {

constexpr Duration probe_timeout = 5s;
/// Hosts of one upstream asked before it counts as not ready.
constexpr size_t probe_hosts_max = 3;

}  // namespace

Task<Result<void>> Readiness::ready(std::string host) {
  auto address = io::Address::parse(host);
  if (!address) co_return propagate(address);
  http::ClientRequest request;
  request.host = *address;
  request.target = "/readiness";
  request.connect_timeout = probe_timeout;
  request.idle_timeout = probe_timeout;
  request.total_timeout = probe_timeout;
  auto response = co_await client_.send(request);
  if (!response) co_return propagate(response);
  if (response->status != 200) co_return fail(http::status_error(request, *response));
  co_return Result<void>{};
}

Task<Result<void>> Readiness::any_ready(std::string what, std::vector<std::string> hosts) {
  random_.shuffle(hosts);
  hosts.resize(std::min(hosts.size(), probe_hosts_max));
  std::string reason = "no host is configured";
  for (const std::string& host : hosts) {
    auto result = co_await ready(host);
    if (result) co_return result;
    reason = result.error().message;
  }
  co_return fail(Errc::unavailable, "{} is not ready: {}", what, reason);
}

Task<std::string> Readiness::failures() {
  std::string text;
  if (auto result = co_await any_ready("build-index", build_indexes_.list()); !result)
    text = result.error().message;
  if (auto result = co_await any_ready("tracker", trackers_.list()); !result) {
    if (!text.empty()) text += '\n';
    text += result.error().message;
  }
  co_return text;
}

}  // namespace krakend::agent
