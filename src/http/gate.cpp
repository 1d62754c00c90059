#include "http/gate.h"

#include <algorithm>

#include "krakend/core/units.h"

namespace krakend::http {
namespace {

using Certificate = io::PeerSecurity::Certificate;

bool only_reads(std::string_view method) {
  return method == "GET" || method == "HEAD";
}

/// The reference exempts this very address and no other of the loopback network.
bool is_this_host(const std::string& host) {
  return host == "127.0.0.1" || host == "::1";
}

}  // namespace

/// A call costs 1 / rate seconds, and an address may be `burst` calls ahead of the clock.
bool RateCounter::admit(const std::string& address, TimePoint now) {
  const auto cost =
      std::chrono::duration_cast<Duration>(std::chrono::duration<double>(1 / limit_.per_second));
  const auto ahead =
      std::chrono::duration_cast<Duration>(std::chrono::duration<double>(limit_.burst / limit_.per_second));
  const auto known = paid_until_.find(address);
  const TimePoint from = known == paid_until_.end() ? now : std::max(known->second, now);
  if (from - now > ahead) return false;
  if (known != paid_until_.end()) {
    known->second = from + cost;
    return true;
  }
  if (paid_until_.size() >= limit_.max_addresses) forget(now);
  paid_until_.emplace(address, from + cost);
  return true;
}

void RateCounter::forget(TimePoint now) {
  std::erase_if(paid_until_, [now](const auto& entry) { return entry.second <= now; });
  if (paid_until_.size() < limit_.max_addresses) return;
  paid_until_.erase(std::min_element(paid_until_.begin(), paid_until_.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; }));
}

Gate::Gate(const ListenOptions& options) : options_(options) {
  for (const RateLimit& limit : options.rates) rates_.emplace_back(limit);
}

bool Gate::allows(const io::Address& peer) const {
  return !options_.allowed ||
         std::any_of(options_.allowed->begin(), options_.allowed->end(),
                     [&](const io::AddressRange& range) { return range.contains(peer.host); });
}

std::optional<Response> Gate::refuse(const Request& request, const io::PeerSecurity& peer, TimePoint now) {
  if (!allows(request.peer)) {
    return text_response(403, fmt::format("{} is not in allowed_cidrs\n", request.peer.host));
  }
  if (peer.certificate == Certificate::invalid) {
    auto response =
        text_response(400, fmt::format("the client certificate is not valid: {}\n", peer.problem));
    response.close = true;
    return response;
  }
  if (peer.secured && peer.certificate == Certificate::none && !only_reads(request.method) &&
      !is_this_host(request.peer.host)) {
    return text_response(403, fmt::format("{} needs a client certificate\n", request.method));
  }
  for (RateCounter& rate : rates_) {
    if (rate.concerns(request.path) && !rate.admit(request.peer.host, now))
      return text_response(429, "too many requests from this address\n");
  }
  if (request.body->length().value_or(0) > options_.max_body) {
    return text_response(413, fmt::format("the body is larger than {}\n", format_size(options_.max_body)));
  }
  return std::nullopt;
}

}  // namespace krakend::http
