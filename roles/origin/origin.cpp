#include "roles/origin/origin.h"

#include <array>
#include <nlohmann/json.hpp>
#include <utility>

#include "krakend/api/operations.h"
#include "krakend/api/requests.h"
#include "krakend/cluster/hosts.h"
#include "krakend/io/task_group.h"
#include "roles/origin/blob_handler.h"
#include "roles/origin/blob_refresher.h"
#include "roles/origin/cleanup_handler.h"
#include "roles/origin/collection_handler.h"
#include "roles/origin/leases.h"
#include "roles/origin/remote_handler.h"
#include "roles/origin/replicator.h"
#include "roles/origin/ring_health.h"
#include "roles/origin/ring_repair.h"
#include "roles/origin/upload_handler.h"
#include "roles/origin/write_back.h"

namespace krakend::origin {
namespace {

cluster::HostsOptions ring_members(const OriginOptions& options) {
  cluster::HostsOptions members = options.cluster;
  // Until the name server is asked for the first time, this origin knows itself.
  if (members.fixed.empty()) members.fixed = {options.self};
  return members;
}

p2p::EngineSelf as_origin(p2p::EngineSelf self) {
  self.origin = true;
  return self;
}

}  // namespace

struct Origin::Impl {
  Impl(api::Services s, storage::BlobStore& store, backend::Backends& b, retry::TaskTable& table,
       OriginOptions o)
      : services(std::move(s)),
        options(std::move(o)),
        backends(b),
        log(services.log.module("origin")),
        tasks(services.loop, log),
        members(services.loop, services.net, services.clock, ring_members(options), log),
        health({services.loop, services.clock, services.client, tasks}, members.hosts(), options.self,
               options.health, log),
        ring(members.hosts(), options.max_replica,
             [this](const std::string& host) { return health.healthy(host); }),
        engine({services.loop, services.clock, services.random, services.net, store, services.metrics},
               as_origin(options.p2p), options.scheduler, nullptr, services.log.module("p2p")),
        replicator({services.loop, services.clock, services.random, services.client, tasks, store, ring,
                    services.metrics, engine.egress(), engine.ingress()},
                   options.self, options.write_back_stagger, log),
        write_back({services.loop, services.clock, services.random, tasks, store, backends, table, replicator,
                    services.metrics},
                   options.write_back, log),
        refresher({services.loop, services.clock, tasks, store, backends, replicator, services.metrics},
                  options.piece_lengths, options.refresh_size_limit, log),
        leases(services.loop, services.clock),
        uploads({services.loop, services.clock, store, write_back, replicator, leases}, options.piece_lengths,
                log),
        blobs({store, refresher, backends, engine, ring, leases, write_back}, options.piece_lengths, log),
        collection({services.loop, tasks, store, refresher, backends, engine, ring, leases, write_back}, log),
        cleanup({services.clock, store, engine, ring, write_back}, options.self, log),
        remote({services.loop, services.clock, services.random, tasks, services.client, store, refresher,
                leases},
               log),
        repair({services.loop, services.clock, services.client, store, ring, replicator, services.metrics},
               options.self, log) {}

  http::Router router();
  void refresh_for_peer(const std::string& ns, const Digest& digest);
  Task<> refresh(std::string ns, Digest digest);
  Task<http::Response> alive(http::Request& request);
  Task<http::Response> readiness(http::Request& request);
  Task<http::Response> peer_context(http::Request& request);
  Task<http::Response> torrents(http::Request& request);
  Task<http::Response> torrent(http::Request& request);
  Task<http::Response> blacklist(http::Request& request);
  Task<http::Response> configure_scheduler(http::Request& request);
  Task<http::Response> status(http::Request& request);

  api::Services services;
  const OriginOptions options;
  const backend::Backends& backends;
  Logger log;
  io::TaskGroup tasks;
  cluster::HostWatch members;
  RingHealth health;
  cluster::HashRing ring;
  p2p::Engine engine;
  Replicator replicator;
  WriteBack write_back;
  BlobRefresher refresher;
  Leases leases;
  UploadHandler uploads;
  BlobHandler blobs;
  CollectionHandler collection;
  CleanupHandler cleanup;
  RemoteHandler remote;
  RingRepair repair;
};

Origin::Origin(api::Services services, storage::BlobStore& store, backend::Backends& backends,
               retry::TaskTable& write_backs, OriginOptions options)
    : impl_(std::make_unique<Impl>(std::move(services), store, backends, write_backs, std::move(options))) {}
Origin::~Origin() = default;

void Origin::Impl::refresh_for_peer(const std::string& ns, const Digest& digest) {
  tasks.spawn(refresh(ns, digest), "refresh for a peer");
}

Task<> Origin::Impl::refresh(std::string ns, Digest digest) {
  // What comes of it is in the refresher's log; the peer asks again.
  (void)co_await refresher.refresh(std::move(ns), digest, false);
}

Result<Origin::Bound> Origin::start() {
  if (!impl_->ring.contains(impl_->options.self))
    return fail(
        Errc::invalid_argument,
        "this origin is not in its own ring: add \"{}\" to cluster.static, or name it as it stands there",
        impl_->options.self);
  if (auto started = impl_->write_back.start(); !started) return propagate(started);
  Bound bound;
  http::ListenOptions listen;
  listen.name = "blobserver";
  listen.address = impl_->options.listen;
  listen.tls = impl_->services.tls;
  listen.compress = true;
  auto http = impl_->services.server.listen(std::move(listen), impl_->router());
  if (!http) return propagate(http);
  bound.http = *http;
  // Behind the HTTP port: a peer port that the system picks must not be the one our ring label holds.
  Impl* impl = impl_.get();
  impl->engine.on_miss(
      [impl](const std::string& ns, const Digest& digest) { impl->refresh_for_peer(ns, digest); });
  auto p2p = impl_->engine.start();
  if (!p2p) return propagate(p2p);
  bound.p2p = *p2p;
  impl_->health.on_change([impl] { impl->repair.wake(); });
  impl_->members.hosts().on_change([impl] {
    impl->log.warn("the ring has {} members now", impl->members.hosts().list().size());
    impl->repair.wake();
  });
  impl_->tasks.spawn(impl_->members.run(), "ring members");
  impl_->tasks.spawn_essential(impl_->health.run(), "ring health");
  impl_->tasks.spawn(impl_->repair.run(), "ring repair");
  impl_->tasks.spawn(impl_->uploads.expire(), "upload expiry");
  return bound;
}

void Origin::configure(const OriginOptions& options) {
  impl_->engine.configure(options.scheduler);
  impl_->members.configure(ring_members(options));
}

void Origin::drain() {
  impl_->engine.drain();
}

Task<> Origin::drained(Duration limit) {
  co_await impl_->engine.drained(limit);
}

Task<> Origin::stop() {
  co_await impl_->tasks.stop();
  co_await impl_->write_back.stop();
  co_await impl_->engine.stop();
}

http::Router Origin::Impl::router() {
  using api::bind;
  http::Router router;
  api::add_operations(router, services);
  router.add("GET", "/health", bind(this, &Impl::alive))
      .add("GET", "/readiness", api::readiness(services, bind(this, &Impl::readiness)))
      .add("GET", "/internal/peercontext", bind(this, &Impl::peer_context))
      .add("GET", "/x/torrents", bind(this, &Impl::torrents))
      .add("GET", "/x/torrents/{digest}", bind(this, &Impl::torrent))
      .add("GET", "/x/blacklist", bind(this, &Impl::blacklist))
      .add("PATCH", "/x/config/scheduler", bind(this, &Impl::configure_scheduler))
      .add("GET", "/x/status", bind(this, &Impl::status));
  blobs.add_routes(router);
  uploads.add_routes(router);
  collection.add_routes(router);
  cleanup.add_routes(router);
  remote.add_routes(router);
  repair.add_routes(router);
  return router;
}

Task<http::Response> Origin::Impl::alive(http::Request& /*request*/) {
  co_return api::ok_response();
}

Task<http::Response> Origin::Impl::readiness(http::Request& /*request*/) {
  std::array<uint8_t, 32> bytes{};
  services.random.fill(bytes);
  auto ready = co_await backends.ready(Digest(bytes).hex());
  if (!ready) co_return api::error_with_status(503, ready.error());
  co_return api::ok_response();
}

Task<http::Response> Origin::Impl::peer_context(http::Request& /*request*/) {
  const p2p::EngineSelf& self = engine.self();
  const PeerContext context{self.ip, self.port, self.peer_id, options.zone, options.cluster_name, true};
  co_return http::text_response(200, context.json() + "\n");
}

Task<http::Response> Origin::Impl::configure_scheduler(http::Request& request) {
  constexpr uint64_t max_body = 64 * KiB;
  auto body = co_await request.body->text(max_body);
  if (!body) co_return api::error_with_status(500, body.error());
  auto wanted = p2p::parse_engine_options(*body, p2p::origin_engine_options());
  if (!wanted) co_return api::error_with_status(500, wanted.error());
  auto configured = engine.configure(*wanted);
  if (!configured) co_return api::error_with_status(500, configured.error());
  log.info("scheduler configured anew");
  co_return http::text_response(200);
}

/// What an operator wants to know first: the ring as this origin sees it, and what it still has to do.
Task<http::Response> Origin::Impl::status(http::Request& /*request*/) {
  nlohmann::json hosts = nlohmann::json::array();
  for (const std::string& host : ring.members())
    hosts.push_back({{"host", host}, {"self", host == options.self}, {"healthy", health.healthy(host)}});
  const retry::RetryQueue::Status queue = write_back.status();
  const nlohmann::json document{
      {"ring", std::move(hosts)},
      {"write_back",
       {{"tasks", queue.tasks},
        {"running", queue.running},
        {"failing", queue.failing},
        {"lag_seconds", to_seconds(queue.lag)}}},
      {"fetches", refresher.running()},
      {"uploads", uploads.open_uploads()},
      {"torrents", engine.torrents().size()},
      {"last_repair", repair.last_report()},
  };
  co_return http::json_response(200, document.dump(2) + "\n");
}

Task<http::Response> Origin::Impl::torrents(http::Request& /*request*/) {
  co_return http::json_response(200, p2p::torrents_json(engine.torrents()));
}

Task<http::Response> Origin::Impl::torrent(http::Request& request) {
  const auto digest = Digest::parse_any(api::param(request, "digest"));
  if (!digest) co_return api::error_with_status(400, digest.error());
  const auto status = engine.torrent(*digest);
  if (!status) co_return http::text_response(404, "blob " + digest->str() + " is not seeded now");
  co_return http::json_response(200, p2p::torrent_json(*status));
}

Task<http::Response> Origin::Impl::blacklist(http::Request& /*request*/) {
  co_return http::text_response(200, p2p::blacklist_json(engine.blacklist()));
}

}  // namespace krakend::origin
