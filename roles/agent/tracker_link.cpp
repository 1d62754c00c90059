#include "roles/agent/tracker_link.h"

#include <utility>

#include "krakend/api/backoff.h"

namespace krakend::agent {
namespace {

/// Between two questions to the origins, which know of no agents.
constexpr Duration announce_interval = 5s;

/// No answer at all, or one that tells of the tracker's trouble and not of the blob.
bool is_out(const Error& error) {
  return error.http_status == 0
             ? error.code == Errc::network || error.code == Errc::timeout || error.code == Errc::unavailable
             : error.http_status >= 500;
}

}  // namespace

bool TrackerLink::stand_in(const Error& error) {
  if (origins_ == nullptr || !is_out(error)) return false;
  if (!std::exchange(outage_, true))
    log_.warn("no tracker answers, the origins are asked instead: {}", error.message);
  return true;
}

Task<Result<MetaInfo>> TrackerLink::metainfo(std::string ns, Digest digest) {
  auto info = co_await trackers_.metainfo(ns, digest);
  if (info || !stand_in(info.error())) {
    if (info) outage_ = false;
    co_return info;
  }
  const std::string why = info.error().message;
  auto direct = co_await metainfo_of_origins(std::move(ns), digest);
  if (!direct && direct.error().code != Errc::not_found)
    co_return fail(direct.error().code, "{}; and {}", why, direct.error().message);
  co_return direct;
}

/// Waits while an origin fetches the blob from its backend, as a tracker does.
Task<Result<MetaInfo>> TrackerLink::metainfo_of_origins(std::string ns, Digest digest) {
  const TimePoint deadline = clock_.now() + api::poll_limit;
  for (unsigned retry = 0;; ++retry) {
    auto info = co_await origins_->metainfo(ns, digest);
    if (info || info.error().code != Errc::pending || clock_.now() > deadline) co_return info;
    co_await clock_.sleep(api::poll_backoff.pause(retry, random_));
  }
}

Task<Result<AnnounceResponse>> TrackerLink::announce(AnnounceRequest request) {
  const Digest digest = request.digest;
  const bool complete = request.peer.complete;
  auto response = co_await trackers_.announce(std::move(request));
  if (response) outage_ = false;
  if (response || complete || !stand_in(response.error())) co_return response;
  auto peers = co_await origins_->peers(digest);
  if (!peers)
    co_return fail(peers.error().code, "{}; and {}", response.error().message, peers.error().message);
  AnnounceResponse direct;
  direct.peers = std::move(*peers);
  direct.interval_ns = announce_interval.count();
  co_return direct;
}

}  // namespace krakend::agent
