#include "roles/agent/agent.h"

#include <utility>

#include "krakend/api/clients.h"
#include "krakend/api/deletions.h"
#include "krakend/api/operations.h"
#include "krakend/api/requests.h"
#include "krakend/io/task_group.h"
#include "roles/agent/agent_api.h"
#include "roles/agent/readiness.h"
#include "roles/agent/swarm_transfer.h"
#include "roles/agent/tracker_link.h"

namespace krakend::agent {

struct Agent::Impl {
  Impl(api::Services services_in, storage::BlobStore& store, AgentOptions options_in)
      : services(services_in),
        options(std::move(options_in)),
        log(services.log.module("agent")),
        tracker_hosts(services.net, services.clock, options.trackers, log),
        build_index_hosts(services.net, services.clock, options.build_indexes, log),
        trackers(services.client, services.clock, services.random, tracker_hosts.hosts()),
        tags(services.client, services.clock, services.random, build_index_hosts.hosts()),
        tracker_link(trackers),
        engine({services.loop, services.clock, services.random, services.net, store}, options.p2p,
               options.scheduler, &tracker_link, services.log.module("p2p")),
        transfer(engine, tags, services.metrics),
        handler(services.loop, transfer, {}, services.log.module("registry")),
        readiness(services.client, services.random, build_index_hosts.hosts(), tracker_hosts.hosts()),
        agent_api(services, engine, tags, readiness),
        tasks(services.loop, services.log),
        deletions(
            tags, services.clock, services.random, [this](Digest digest) { return engine.remove(digest); },
            services.log.module("deletions")) {}

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
    router.fallback([this](http::Request& request) { return handler.handle(request); });
    http::ListenOptions listen;
    listen.name = "registry";
    listen.address = options.registry_listen;
    return services.server.listen(std::move(listen), std::move(router));
  }

  Result<io::Address> listen_server() {
    http::Router router;
    agent_api.add_health(router);
    agent_api.add_api(router);
    api::add_operations(router, services);
    http::ListenOptions listen;
    listen.name = "agent-server";
    listen.address = options.server_listen;
    return services.server.listen(std::move(listen), std::move(router));
  }

  api::Services services;
  AgentOptions options;
  Logger log;
  cluster::HostWatch tracker_hosts;
  cluster::HostWatch build_index_hosts;
  api::TrackerClient trackers;
  api::TagClient tags;
  TrackerLink tracker_link;
  p2p::Engine engine;
  SwarmTransfer transfer;
  registry::RegistryHandler handler;
  Readiness readiness;
  AgentApi agent_api;
  io::TaskGroup tasks;
  api::DeletionFeed deletions;
};

Agent::Agent(api::Services services, storage::BlobStore& store, AgentOptions options)
    : impl_(std::make_unique<Impl>(services, store, std::move(options))) {}

Agent::~Agent() = default;

Result<Agent::Bound> Agent::start() {
  impl_->engine.log_torrents(impl_->options.torrent_log, impl_->options.torrent_log_fields);
  auto p2p = impl_->engine.start();
  if (!p2p) return propagate(p2p);
  auto registry = impl_->listen_registry();
  if (!registry) return propagate(registry);
  auto server = impl_->listen_server();
  if (!server) return propagate(server);
  impl_->tasks.spawn(impl_->tracker_hosts.run(), "trackers");
  impl_->tasks.spawn(impl_->build_index_hosts.run(), "build-indexes");
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
}

}  // namespace krakend::agent
