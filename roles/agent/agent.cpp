#include "roles/agent/agent.h"

#include <utility>

#include "krakend/api/clients.h"
#include "krakend/api/deletions.h"
#include "krakend/api/operations.h"
#include "krakend/api/requests.h"
#include "krakend/io/task_group.h"
#include "roles/agent/agent_api.h"
#include "roles/agent/backup_registry.h"
#include "roles/agent/readiness.h"
#include "roles/agent/swarm_transfer.h"
#include "roles/agent/tracker_link.h"

namespace krakend::agent {

struct Agent::Impl {
  Impl(api::Services services_in, storage::BlobStore& store, AgentOptions options_in)
      : services(services_in),
        options(std::move(options_in)),
        log(services.log.module("agent")),
        tracker_hosts(services.loop, services.net, services.clock, options.trackers, log),
        build_index_hosts(services.loop, services.net, services.clock, options.build_indexes, log),
        origin_hosts(services.loop, services.net, services.clock, options.origins, log),
        trackers(services.client, services.clock, services.random, tracker_hosts.hosts()),
        tags(services.client, services.clock, services.random, build_index_hosts.hosts()),
        origins({services.loop, services.client, services.clock, services.random}, origin_hosts.hosts(), log),
        tracker_link(services.clock, services.random, trackers, options.origins.empty() ? nullptr : &origins,
                     log),
        engine({services.loop, services.clock, services.random, services.net, store, services.metrics},
               options.p2p, options.scheduler, &tracker_link, services.log.module("p2p")),
        transfer(engine, tags, services.metrics),
        handler(services.loop, transfer, {}, services.log.module("registry")),
        readiness(services.client, services.random, build_index_hosts.hosts(), tracker_hosts.hosts()),
        agent_api(services, engine, tags, readiness),
        tasks(services.loop, services.log),
        backup_client(http::make_client(services.loop, services.clock, backup_calls())),
        deletions(
            tags, services.clock, services.random, [this](Digest digest) { return engine.remove(digest); },
            services.log.module("deletions")) {
    if (options.registry_backup) {
      backup.emplace(
          BackupRegistry::Services{services.loop, services.disk, services.random, tasks, *backup_client},
          *options.registry_backup, options.spool_dir, services.log.module("backup"));
    }
  }

  static http::ClientOptions backup_calls() {
    http::ClientOptions calls;
    calls.max_threads = BackupRegistry::max_downloads + 4;  // manifests pass by the blobs
    return calls;
  }

  Task<http::Response> answer(http::Request& request) {
    if (!backup) return handler.handle(request);
    return backup->answer(request, [this](http::Request& asked) { return handler.handle(asked); });
  }

  /// Tells statsd that the agent lives, as the reference does.
  Task<> beat() {
    constexpr Duration interval = 10s;
    const Counter heartbeats =
        services.metrics.counter({"heartbeats_total", "Ten-second steps of the agent's life", "heartbeat"});
    for (;;) {
      heartbeats.add();
      co_await services.clock.sleep(interval);
    }
  }

  Result<io::Address> listen_registry() {
    http::Router router;
    agent_api.add_health(router);
    router.fallback([this](http::Request& request) { return answer(request); });
    http::ListenOptions listen;
    listen.name = "registry";
    listen.address = options.registry_listen;
    listen.tls = services.tls;
    listen.allowed = options.allowed_cidrs;
    listen.compress = true;
    listen.max_body = http::small_body;
    return services.server.listen(std::move(listen), std::move(router));
  }

  Result<io::Address> listen_server() {
    http::Router router;
    agent_api.add_health(router);
    agent_api.add_api(router);
    api::add_operations(router, services);
    http::ListenOptions listen;
    // Never secured, as in the reference.
    listen.name = "agent-server";
    listen.fronted = false;
    listen.max_body = http::small_body;
    listen.address = options.server_listen;
    return services.server.listen(std::move(listen), std::move(router));
  }

  api::Services services;
  AgentOptions options;
  Logger log;
  cluster::HostWatch tracker_hosts;
  cluster::HostWatch build_index_hosts;
  cluster::HostWatch origin_hosts;
  api::TrackerClient trackers;
  api::TagClient tags;
  api::OriginCluster origins;
  TrackerLink tracker_link;
  p2p::Engine engine;
  SwarmTransfer transfer;
  registry::RegistryHandler handler;
  Readiness readiness;
  AgentApi agent_api;
  io::TaskGroup tasks;
  std::unique_ptr<http::Client> backup_client;
  std::optional<BackupRegistry> backup;
  api::DeletionFeed deletions;
};

Agent::Agent(api::Services services, storage::BlobStore& store, AgentOptions options)
    : impl_(std::make_unique<Impl>(services, store, std::move(options))) {}

Agent::~Agent() = default;

Result<Agent::Bound> Agent::start() {
  auto p2p = impl_->engine.start();
  if (!p2p) return propagate(p2p);
  auto registry = impl_->listen_registry();
  if (!registry) return propagate(registry);
  auto server = impl_->listen_server();
  if (!server) return propagate(server);
  impl_->tasks.spawn(impl_->tracker_hosts.run(), "trackers");
  impl_->tasks.spawn(impl_->build_index_hosts.run(), "build-indexes");
  if (!impl_->options.origins.empty()) impl_->tasks.spawn(impl_->origin_hosts.run(), "origins");
  impl_->tasks.spawn(impl_->deletions.run(), "deletion feed");
  impl_->tasks.spawn(impl_->beat(), "heartbeat");
  return Bound{*registry, *server, *p2p};
}

void Agent::configure(const AgentOptions& options) {
  impl_->engine.configure(options.scheduler);
  impl_->tracker_hosts.configure(options.trackers);
  impl_->build_index_hosts.configure(options.build_indexes);
}

void Agent::drain() {
  impl_->engine.drain();
}

Task<> Agent::drained(Duration limit) {
  co_await impl_->engine.drained(limit);
}

Task<> Agent::stop() {
  co_await impl_->tasks.stop();
  co_await impl_->handler.stop();
  co_await impl_->engine.stop();
  co_await impl_->origins.stop();
}

}  // namespace krakend::agent
