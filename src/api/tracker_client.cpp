#include <utility>

#include "api/call.h"
#include "krakend/api/backoff.h"
#include "krakend/api/clients.h"
#include "krakend/core/url.h"

namespace krakend::api {
namespace {

/// Contract core-formats §10, §12.2; every agent must use the same ring.
constexpr unsigned max_replica = 3;
constexpr unsigned passive_fails = 3;
constexpr Duration passive_time = 5min;

/// Worth asking another tracker: no answer, or one that tells of the tracker's trouble rather than of the
/// blob.
bool fails_over(const Error& error) {
  return no_answer(error) || error.http_status >= 500;
}

}  // namespace

struct TrackerClient::Impl {
  Impl(http::Client& c, io::Clock& clk, io::Random& r, cluster::Hosts hosts)
      : client(c),
        clock(clk),
        random(r),
        health(clk, passive_fails, passive_time),
        ring(std::move(hosts), max_replica,
             [this](const std::string& host) { return health.healthy(host); }) {}

  Task<Result<http::ClientResponse>> poll(std::string host, std::string target, TimePoint deadline);
  void note(const std::string& host, const Error& error) {
    if (no_answer(error)) health.failed(host);
  }

  http::Client& client;
  io::Clock& clock;
  io::Random& random;
  cluster::PassiveHealth health;
  cluster::HashRing ring;
};

TrackerClient::TrackerClient(http::Client& client, io::Clock& clock, io::Random& random, cluster::Hosts hosts)
    : impl_(std::make_unique<Impl>(client, clock, random, std::move(hosts))) {}
TrackerClient::~TrackerClient() = default;

/// Repeats the request on one tracker while it says 202.
Task<Result<http::ClientResponse>> TrackerClient::Impl::poll(std::string host, std::string target,
                                                             TimePoint deadline) {
  for (unsigned retry = 0;; ++retry) {
    auto response = co_await call(client, "GET", host, target, limits::tracker_metainfo);
    if (response || response.error().code != Errc::pending) co_return response;
    const Duration pause = poll_backoff.pause(retry, random);
    if (clock.now() + pause > deadline)
      co_return fail(Errc::timeout, "tracker {}: the origins still fetch the blob after {}", host,
                     format_duration(poll_limit));
    co_await clock.sleep(pause);
  }
}

Task<Result<MetaInfo>> TrackerClient::metainfo(std::string ns, Digest digest) {
  const std::string target = "/namespace/" + path_escape(ns) + "/blobs/" + digest.str() + "/metainfo";
  const TimePoint deadline = impl_->clock.now() + poll_limit;
  Error last{Errc::network, "no tracker is configured", 0};
  const std::vector<std::string> trackers = impl_->ring.locations(digest);
  for (const std::string& host : trackers) {
    auto response = co_await impl_->poll(host, target, deadline);
    if (response) {
      auto metainfo = MetaInfo::parse(response->body);
      if (!metainfo)
        co_return fail(Errc::protocol, "metainfo from tracker {}: {}", host, metainfo.error().message);
      if (metainfo->digest() != digest)
        co_return fail(Errc::protocol, "metainfo from tracker {}: is of {} instead of {}", host,
                       metainfo->digest().str(), digest.str());
      co_return metainfo;
    }
    impl_->note(host, response.error());
    last = response.error();
    if (!fails_over(last) || impl_->clock.now() >= deadline) break;
  }
  co_return fail(std::move(last));
}

Task<Result<AnnounceResponse>> TrackerClient::announce(AnnounceRequest request) {
  const std::string body = request.json();
  Error last{Errc::network, "no tracker is configured", 0};
  const std::vector<std::string> trackers = impl_->ring.locations(request.digest);
  for (const std::string& host : trackers) {
    auto http = make_request("POST", host, "/announce/" + request.info_hash.hex(), limits::announce);
    if (!http) co_return propagate(http);
    http->body = body;
    auto response = co_await call(impl_->client, std::move(*http));
    if (response) {
      auto answer = AnnounceResponse::parse(response->body);
      if (!answer) co_return fail(Errc::protocol, "announce to tracker {}: {}", host, answer.error().message);
      co_return answer;
    }
    impl_->note(host, response.error());
    last = response.error();
    if (!fails_over(last)) break;
  }
  co_return fail(std::move(last));
}

}  // namespace krakend::api
