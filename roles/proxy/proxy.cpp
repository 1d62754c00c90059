#include "roles/proxy/proxy.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "krakend/api/clients.h"
#include "krakend/api/deletions.h"
#include "krakend/api/operations.h"
#include "krakend/io/task_group.h"
#include "roles/proxy/downloads.h"
#include "roles/proxy/origin_transfer.h"
#include "roles/proxy/prefetcher.h"

namespace krakend::proxy {

namespace {

// Uploads are swept so often in the time that they may be idle, and at least so often.
constexpr unsigned sweeps_per_ttl = 8;
constexpr Duration sweep_interval_max = 1h;
// Of one client address, as the reference has it (contract config-ops §5.5).
constexpr std::string_view calls_of_operators = "/proxy";
constexpr double calls_per_second = 100;
constexpr double calls_at_once = 20;

}  // namespace

struct Proxy::Impl {
  Impl(api::Services services_in, storage::BlobStore& store_in, ProxyOptions options_in)
      : services(services_in),
        store(store_in),
        options(std::move(options_in)),
        origin_hosts(services.loop, services.net, services.clock, options.origins,
                     services.log.module("origins")),
        build_index_hosts(services.loop, services.net, services.clock, options.build_indexes,
                          services.log.module("build-indexes")),
        origins({services.loop, services.client, services.clock, services.random}, origin_hosts.hosts(),
                services.log.module("origins")),
        tags(services.client, services.clock, services.random, build_index_hosts.hosts()),
        downloads(services.loop, store, origins, options.piece_length, services.log.module("downloads")),
        transfer({store, origins, tags, downloads, services.clock, services.metrics}, options.piece_length,
                 services.log.module("transfer")),
        handler(services.loop, transfer, options.registry, services.log.module("registry")),
        prefetcher(services, origins, tags, options, services.log.module("prefetch")),
        tasks(services.loop, services.log),
        deletions(
            tags, services.clock, services.random,
            [this](Digest digest) { return transfer.drop_copy(digest); }, services.log.module("deletions")) {}

  http::Router router() {
    http::Router router;
    router.add("GET", "/health", [](http::Request&) { return healthy(); });
    router.add("GET", "/readiness", api::readiness(services, [](http::Request&) { return healthy(); }));
    api::add_operations(router, services);
    prefetcher.add_routes(router);
    router.fallback([this](http::Request& request) { return handler.handle(request); });
    return router;
  }

  Result<io::Address> listen(const io::Address& address) {
    http::ListenOptions listen;
    listen.name = "registry";
    listen.address = address;
    listen.tls = services.tls;
    listen.compress = true;
    listen.rates = {{std::string(calls_of_operators), calls_per_second, calls_at_once}};
    // The registry has its own limits, and answers in its own form.
    listen.max_body = std::numeric_limits<uint64_t>::max();
    return services.server.listen(std::move(listen), router());
  }

  /// Besides those: what only the hosts behind them may ask for.
  Result<void> listen_inside() {
    if (!options.server_listen) return {};
    http::Router inside = router();
    prefetcher.add_notifications(inside);
    http::ListenOptions listen;
    listen.name = "server";
    listen.address = *options.server_listen;
    listen.fronted = false;
    listen.max_body = std::numeric_limits<uint64_t>::max();
    auto bound = services.server.listen(std::move(listen), std::move(inside));
    if (!bound) {
      return fail(
          bound.error().code,
          "server.listener: {}; choose another server.listener.addr, or leave server.listener.net out",
          bound.error().message);
    }
    services.log.info("server.listener {}", bound->str());
    return {};
  }

  static Task<http::Response> healthy() { co_return http::text_response(200, "OK\n"); }

  Task<> sweep() {
    for (;;) {
      co_await services.clock.sleep(
          std::min(options.registry.upload_ttl / sweeps_per_ttl, sweep_interval_max));
      co_await handler.sweep_uploads(services.clock.now());
    }
  }

  api::Services services;
  storage::BlobStore& store;
  ProxyOptions options;
  cluster::HostWatch origin_hosts;
  cluster::HostWatch build_index_hosts;
  api::OriginCluster origins;
  api::TagClient tags;
  Downloads downloads;
  OriginTransfer transfer;
  registry::RegistryHandler handler;
  Prefetcher prefetcher;
  io::TaskGroup tasks;
  api::DeletionFeed deletions;
};

Proxy::Proxy(api::Services services, storage::BlobStore& store, ProxyOptions options)
    : impl_(std::make_unique<Impl>(services, store, std::move(options))) {}

Proxy::~Proxy() = default;

Result<std::vector<io::Address>> Proxy::start() {
  impl_->handler.adopt_uploads(impl_->store.take_kept_uploads(), impl_->services.clock);
  std::vector<io::Address> bound;
  for (const io::Address& address : impl_->options.listen) {
    auto listening = impl_->listen(address);
    if (!listening) return propagate(listening);
    bound.push_back(std::move(*listening));
  }
  if (auto listening = impl_->listen_inside(); !listening) return propagate(listening);
  impl_->tasks.spawn(impl_->origin_hosts.run(), "origins");
  impl_->tasks.spawn(impl_->build_index_hosts.run(), "build-indexes");
  impl_->tasks.spawn(impl_->sweep(), "sweep uploads");
  if (impl_->options.has_copies) impl_->tasks.spawn(impl_->deletions.run(), "deletion feed");
  return bound;
}

void Proxy::configure(const ProxyOptions& options) {
  impl_->options.registry = options.registry;
  impl_->handler.configure(options.registry);
  impl_->prefetcher.configure(options.prefetch);
  impl_->origin_hosts.configure(options.origins);
  impl_->build_index_hosts.configure(options.build_indexes);
}

Task<> Proxy::stop() {
  co_await impl_->tasks.stop();
  co_await impl_->prefetcher.stop();
  co_await impl_->handler.stop();
  co_await impl_->downloads.stop();
}

}  // namespace krakend::proxy
