#include "roles/tracker/tracker.h"

#include <utility>

#include "krakend/api/clients.h"
#include "krakend/api/lookup_cache.h"
#include "krakend/api/operations.h"
#include "krakend/api/requests.h"
#include "krakend/io/task_group.h"
#include "roles/tracker/announce_parser.h"
#include "roles/tracker/handout_counts.h"
#include "roles/tracker/handout_policy.h"
#include "roles/tracker/peer_store.h"

namespace krakend::tracker {
namespace {

/// An announce is some 400 bytes.
constexpr uint64_t max_announce_body = 64 * KiB;
/// What the reference's nginx did (contract http-api §10.4): 200 for 5 min; everything else only briefly, so
/// that a blob that has just arrived is seen.
constexpr api::LookupCacheOptions metainfo_cache{5min, 500ms, 100'000, 64 * MiB};
constexpr Duration cleanup_interval = 5min;

using Json = std::shared_ptr<const std::string>;

size_t json_bytes(const Json& json) {
  return json->size();
}

HandoutPolicy make_policy(const TrackerOptions& options) {
  return HandoutPolicy(options.completeness ? HandoutPolicy::Priority::completeness
                                            : HandoutPolicy::Priority::any);
}

PeerStoreLimits peer_limits(const TrackerOptions& options) {
  PeerStoreLimits limits;
  limits.ttl = options.peer_ttl;
  return limits;
}

}  // namespace

struct Tracker::Impl {
  Impl(api::Services s, TrackerOptions o)
      : services(std::move(s)),
        options(std::move(o)),
        log(services.log.module("tracker")),
        origin_hosts(services.loop, services.net, services.clock, options.origins, log),
        origins({services.loop, services.client, services.clock, services.random}, origin_hosts.hosts(), log),
        peers(peer_limits(options)),
        policy(make_policy(options)),
        metainfo(services.loop, services.clock, metainfo_cache, json_bytes),
        metainfo_seconds(services.metrics.timer(
            {"metainfo_seconds", "Until a metainfo was there, the cache included", "get_metainfo"},
            {0.001, 0.01, 0.1, 1, 10})),
        handouts(services.metrics),
        tasks(services.loop, log) {}

  http::Router router();
  Task<http::Response> health(http::Request& request);
  Task<http::Response> readiness(http::Request& request);
  Task<http::Response> announce_to_hash(http::Request& request);
  Task<http::Response> announce_by_body(http::Request& request);
  Task<http::Response> get_metainfo(http::Request& request);

  Task<http::Response> handle_announce(AnnounceRequest announce);
  Task<Result<Json>> fetch_metainfo(std::string ns, Digest digest);
  Task<> clean_up();

  api::Services services;
  TrackerOptions options;
  Logger log;
  cluster::HostWatch origin_hosts;
  api::OriginCluster origins;
  PeerStore peers;
  HandoutPolicy policy;
  api::LookupCache<std::string, Json> metainfo;
  Histogram metainfo_seconds;
  HandoutCounts handouts;
  io::TaskGroup tasks;
};

Tracker::Tracker(api::Services services, TrackerOptions options)
    : impl_(std::make_unique<Impl>(std::move(services), std::move(options))) {}
Tracker::~Tracker() = default;

Result<io::Address> Tracker::start() {
  http::ListenOptions listen;
  listen.name = "tracker";
  listen.running = {"/announce"};
  listen.address = impl_->options.listen;
  listen.tls = impl_->services.tls;
  listen.max_body = http::small_body;
  auto bound = impl_->services.server.listen(std::move(listen), impl_->router());
  if (!bound) return bound;
  impl_->tasks.spawn(impl_->origin_hosts.run(), "origins");
  impl_->tasks.spawn_essential(impl_->clean_up(), "peer store cleanup");
  return bound;
}

void Tracker::configure(const TrackerOptions& options) {
  impl_->options.announce_limit = options.announce_limit;
  impl_->options.announce_interval = options.announce_interval;
  impl_->origin_hosts.configure(options.origins);
}

Task<> Tracker::stop() {
  co_await impl_->tasks.stop();
  co_await impl_->origins.stop();
}

http::Router Tracker::Impl::router() {
  using api::bind;
  http::Router router(http::Router::WrongMethod::method_not_allowed);
  api::add_operations(router, services);
  router.add("GET", "/health", bind(this, &Impl::health))
      .add("GET", "/readiness", api::readiness(services, bind(this, &Impl::readiness)))
      .add("POST", "/announce/{infohash}", bind(this, &Impl::announce_to_hash))
      .add("GET", "/announce", bind(this, &Impl::announce_by_body))
      .add("GET", "/namespace/{namespace}/blobs/{digest}/metainfo", bind(this, &Impl::get_metainfo))
      .add("HEAD", "/namespace/{namespace}/blobs/{digest}/metainfo", bind(this, &Impl::get_metainfo));
  return router;
}

Task<http::Response> Tracker::Impl::health(http::Request& /*request*/) {
  co_return api::ok_response();
}

Task<http::Response> Tracker::Impl::readiness(http::Request& /*request*/) {
  auto ready = co_await origins.ready();
  if (!ready) co_return api::error_with_status(503, ready.error());
  co_return api::ok_response();
}

Task<http::Response> Tracker::Impl::announce_to_hash(http::Request& request) {
  auto info_hash = InfoHash::parse(api::param(request, "infohash"));
  if (!info_hash) co_return http::text_response(500, "parse infohash: " + info_hash.error().message);
  auto body = co_await request.body->text(max_announce_body);
  if (!body) co_return api::error_with_status(500, body.error());
  auto announce = parse_announce(*body);
  if (!announce) co_return http::error_response(announce.error());
  announce->info_hash = *info_hash;
  co_return co_await handle_announce(std::move(*announce));
}

Task<http::Response> Tracker::Impl::announce_by_body(http::Request& request) {
  auto body = co_await request.body->text(max_announce_body);
  if (!body) co_return api::error_with_status(500, body.error());
  auto announce = parse_announce(*body);
  if (!announce) co_return http::error_response(announce.error());
  co_return co_await handle_announce(std::move(*announce));
}

Task<http::Response> Tracker::Impl::handle_announce(AnnounceRequest announce) {
  const PeerInfo& peer = announce.peer;
  peers.update(announce.info_hash, peer, services.clock.now());
  AnnounceResponse answer;
  answer.interval_ns = options.announce_interval.count();
  answer.null_peers = peer.complete;
  if (!peer.complete) {
    auto owners = co_await origins.peers(announce.digest);
    if (!owners)
      log.warn("announce for {}: no origin to hand out: {}", announce.digest.str(), owners.error().message);
    // Sampled after the wait: whoever announced meanwhile is in it.
    answer.peers = peers.sample(announce.info_hash, options.announce_limit, peer.peer_id,
                                services.clock.now(), services.random);
    if (owners) answer.peers.insert(answer.peers.end(), owners->begin(), owners->end());
    policy.sort(answer.peers, services.random);
    handouts.handed_out(answer.peers);
  }
  co_return http::text_response(200, answer.json());
}

Task<http::Response> Tracker::Impl::get_metainfo(http::Request& request) {
  auto digest = api::digest_param(request);
  if (!digest) co_return http::error_response(digest.error());
  std::string ns = api::param(request, "namespace");
  const std::string key = digest->hex() + ns;
  const TimePoint began = services.clock.now();
  std::function<Task<Result<Json>>()> fetch = [this, ns, d = *digest] { return fetch_metainfo(ns, d); };
  auto json = co_await metainfo.get(key, fetch);
  metainfo_seconds.observe(to_seconds(services.clock.now() - began));
  if (json) co_return http::json_response(200, **json);
  // An origin's status is passed on; trouble on the way to the origins is 500 (contract http-api §5.3).
  const int status = json.error().http_status != 0 ? json.error().http_status : 500;
  co_return http::text_response(status, "origin: " + json.error().message);
}

Task<Result<Json>> Tracker::Impl::fetch_metainfo(std::string ns, Digest digest) {
  auto found = co_await origins.metainfo(ns, digest);
  if (!found) co_return propagate(found);
  co_return std::make_shared<const std::string>(found->json());
}

Task<> Tracker::Impl::clean_up() {
  for (;;) {
    co_await services.clock.sleep(cleanup_interval);
    const size_t gone = peers.cleanup(services.clock.now());
    log.debug("{} peers expired, {} peers of {} torrents known", gone, peers.peers(), peers.torrents());
  }
}

}  // namespace krakend::tracker
