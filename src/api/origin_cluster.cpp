#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "api/call.h"
#include "krakend/api/backoff.h"
#include "krakend/api/clients.h"
#include "krakend/api/lookup_cache.h"
#include "krakend/io/parallel.h"

namespace krakend::api {
namespace {

using Hosts = std::vector<std::string>;

/// Contract http-api §5.2, p2p §15.5. A shard is 16 bits, so its table is bounded by itself.
constexpr LookupCacheOptions locations_cache{10s, 1s, 65'536};
/// Failures for less long than the reference does (1 min): an origin that is back is wanted at once.
constexpr LookupCacheOptions contexts_cache{10s, 3s, 10'000};
/// An origin that did not answer this often is asked for locations last for a while.
constexpr unsigned passive_fails = 3;
constexpr Duration passive_time = 30s;
/// Owners whose peer context is asked for at once.
constexpr size_t parallel_contexts = 16;

/// Failures of the caller's sink that another origin cannot cure.
bool sink_is_broken(const Error& error) {
  return error.http_status == 0 && (error.code == Errc::no_space || error.code == Errc::io ||
                                    error.code == Errc::cancelled || error.code == Errc::too_large);
}

/// About the blob or the request: another origin would say the same (contract http-api §11.3).
bool is_final(const Error& error) {
  return error.http_status != 0 && error.http_status < 500 && error.code != Errc::pending;
}

Digest random_digest(io::Random& random) {
  std::array<uint8_t, 32> bytes;
  random.fill(bytes);
  return Digest(bytes);
}

}  // namespace

struct OriginCluster::Impl {
  Impl(Services s, cluster::Hosts list, Logger logger)
      : services(s),
        hosts(std::move(list)),
        log(std::move(logger)),
        health(s.clock, passive_fails, passive_time),
        locations(s.loop, s.clock, locations_cache),
        contexts(s.loop, s.clock, contexts_cache),
        tasks(s.loop, log) {}

  OriginClient origin(const std::string& host) { return OriginClient(services.client, host); }
  Task<Result<Hosts>> ask_locations(Digest digest);
  /// The owners, and behind them all other origins: when no owner answers, any origin takes an upload, and
  /// the ring repairs itself later.
  Hosts with_others(Hosts owners) const;
  /// Until an origin no longer says "pending", at most `poll_limit`.
  Task<Result<void>> poll(const std::function<Task<Result<void>>()>& ask);
  Task<Result<void>> download_from(std::string host, std::string ns, Digest digest,
                                   const std::function<Result<io::ByteSink*>()>& restart);
  Task<Result<void>> replicate_from(std::string host, std::string ns, Digest digest, std::string remote);
  Task<Result<PeerContext>> ask_context(std::string host) { co_return co_await origin(host).peer_context(); }
  Task<> fetch_context(std::string host, std::shared_ptr<std::vector<std::optional<Result<PeerContext>>>> out,
                       size_t index);

  Services services;
  const cluster::Hosts hosts;
  Logger log;
  cluster::PassiveHealth health;
  LookupCache<std::string, Hosts> locations;
  LookupCache<std::string, PeerContext> contexts;
  io::TaskGroup tasks;
};

Hosts OriginCluster::Impl::with_others(Hosts owners) const {
  for (const std::string& host : hosts.list()) {
    if (std::find(owners.begin(), owners.end(), host) == owners.end()) owners.push_back(host);
  }
  return owners;
}

OriginCluster::OriginCluster(Services services, cluster::Hosts hosts, Logger log)
    : impl_(std::make_unique<Impl>(services, std::move(hosts), std::move(log))) {}
OriginCluster::~OriginCluster() = default;

Task<> OriginCluster::stop() {
  return impl_->tasks.stop();
}

Task<Result<Hosts>> OriginCluster::locations(Digest digest) {
  Impl* impl = impl_.get();
  LookupCache<std::string, Hosts>::Fetch ask = [impl, digest] { return impl->ask_locations(digest); };
  return impl->locations.get(digest.shard_id(), std::move(ask));
}

/// Any origin knows the ring; all are tried in random order. The failure is never an HTTP status of an
/// origin, so that it is not taken for the answer of an owner (contract http-api §11.2).
Task<Result<Hosts>> OriginCluster::Impl::ask_locations(Digest digest) {
  Hosts order = health.filter(hosts.list());
  services.random.shuffle(order);
  std::string last = "no origin is configured";
  for (const std::string& host : order) {
    auto found = co_await origin(host).locations(digest);
    if (found) {
      // A lone origin may call itself by a name that only its own machine resolves: its configured address is
      // the last resort.
      if (hosts.list().size() == 1 && found->size() == 1 && found->front() != host) found->push_back(host);
      co_return found;
    }
    if (no_answer(found.error())) health.failed(host);
    last = found.error().message;
    log.warn("origin {} does not tell the locations of {}: {}", host, digest.str(), last);
  }
  co_return fail(Errc::network, "no origin tells the locations of {}: {}", digest.str(), last);
}

Task<Result<uint64_t>> OriginCluster::stat(std::string ns, Digest digest) {
  auto owners = co_await locations(digest);
  if (!owners) co_return propagate(owners);
  impl_->services.random.shuffle(*owners);
  Result<uint64_t> last = fail(Errc::internal, "no owner");
  for (const std::string& host : *owners) {
    last = co_await impl_->origin(host).stat(ns, digest);
    if (last) break;
  }
  co_return last;
}

Task<Result<MetaInfo>> OriginCluster::metainfo(std::string ns, Digest digest) {
  auto owners = co_await locations(digest);
  if (!owners) co_return propagate(owners);
  Result<MetaInfo> last = fail(Errc::internal, "no owner");
  for (const std::string& host : *owners) {
    last = co_await impl_->origin(host).metainfo(ns, digest);
    if (last || last.error().code == Errc::pending) break;
  }
  co_return last;
}

Task<Result<void>> OriginCluster::download(std::string ns, Digest digest,
                                           std::function<Result<io::ByteSink*>()> restart) {
  auto owners = co_await locations(digest);
  if (!owners) co_return propagate(owners);
  Error last;
  for (const std::string& host : *owners) {
    auto done = co_await impl_->download_from(host, ns, digest, restart);
    if (done) co_return done;
    last = done.error();
    if (is_final(last) || sink_is_broken(last)) co_return done;
    impl_->log.warn("download of {} from origin {} failed: {}", digest.str(), host, last.message);
  }
  // An exhausted cluster is no answer about the blob (contract http-api §11.3).
  co_return fail(Errc::unavailable, "no origin gave {}: {}", digest.str(), last.message);
}

Task<Result<void>> OriginCluster::prefetch(std::string ns, Digest digest) {
  auto owners = co_await locations(digest);
  if (!owners) co_return propagate(owners);
  Result<void> last = fail(Errc::internal, "no owner");
  for (const std::string& host : *owners) {
    last = co_await impl_->origin(host).prefetch(ns, digest);
    if (last || last.error().code == Errc::not_found) break;
    impl_->log.warn("prefetch of {} at origin {} failed: {}", digest.str(), host, last.error().message);
  }
  co_return last;
}

Task<Result<std::string>> OriginCluster::download_text(std::string ns, Digest digest, uint64_t limit) {
  io::TextSink sink(limit);
  std::function<Result<io::ByteSink*>()> restart = [&sink]() -> Result<io::ByteSink*> {
    sink.text.clear();
    return &sink;
  };
  auto done = co_await download(std::move(ns), digest, restart);
  if (!done) co_return propagate(done);
  if (const Digest actual = Digest::of(sink.text); actual != digest)
    co_return fail(Errc::corrupt, "the origins sent bytes of digest {}", actual.str());
  co_return std::move(sink.text);
}

Task<Result<void>> OriginCluster::Impl::poll(const std::function<Task<Result<void>>()>& ask) {
  const TimePoint deadline = services.clock.now() + poll_limit;
  for (unsigned retry = 0;; ++retry) {
    auto done = co_await ask();
    if (done || done.error().code != Errc::pending) co_return done;
    const Duration pause = poll_backoff.pause(retry, services.random);
    if (services.clock.now() + pause > deadline) co_return done;
    co_await services.clock.sleep(pause);
  }
}

Task<Result<void>> OriginCluster::Impl::download_from(std::string host, std::string ns, Digest digest,
                                                      const std::function<Result<io::ByteSink*>()>& restart) {
  auto sink = restart();
  if (!sink) co_return propagate(sink);
  OriginClient client = origin(host);
  const auto ask = [&] { return client.download(ns, digest, **sink); };
  co_return co_await poll(ask);
}

Task<Result<void>> OriginCluster::upload(std::string ns, Digest digest, io::FilePtr file, uint64_t size,
                                         Duration commit_limit) {
  auto owners = co_await locations(digest);
  if (!owners) co_return propagate(owners);
  Result<void> last = fail(Errc::internal, "no owner");
  for (const std::string& host : impl_->with_others(std::move(*owners))) {
    last = co_await impl_->origin(host).upload(ns, digest, file, size, commit_limit);
    if (last) break;
    impl_->log.warn("upload of {} to origin {} failed: {}", digest.str(), host, last.error().message);
    if (!is_away(last.error())) break;
  }
  co_return last;
}

Task<Result<void>> OriginCluster::replicate(std::string ns, Digest digest, std::string remote) {
  auto owners = co_await locations(digest);
  if (!owners) co_return propagate(owners);
  Error last;
  for (const std::string& host : *owners) {
    auto done = co_await impl_->replicate_from(host, ns, digest, remote);
    if (done) co_return done;
    last = done.error();
    if (is_final(last)) co_return done;
    impl_->log.debug("origin {} does not copy {} to {}: {}", host, digest.str(), remote, last.message);
  }
  co_return fail(std::move(last));
}

Task<Result<void>> OriginCluster::Impl::replicate_from(std::string host, std::string ns, Digest digest,
                                                       std::string remote) {
  OriginClient client = origin(host);
  const auto ask = [&] { return client.replicate(ns, digest, remote); };
  co_return co_await poll(ask);
}

Task<Result<void>> OriginCluster::erase(std::vector<std::string> namespaces, Digest digest) {
  auto hosts = co_await locations(digest);
  if (!hosts) co_return propagate(hosts);
  // Not the owners alone: a former one may still have it.
  hosts = impl_->with_others(std::move(*hosts));
  for (const std::string& ns : namespaces) {
    for (const std::string& host : *hosts) {
      auto erased = co_await impl_->origin(host).erase(ns, digest);
      if (!erased && erased.error().code != Errc::not_found)
        co_return fail(Errc::unavailable, "{} may still be at origin {}: {}", digest.str(), host,
                       erased.error().message);
    }
  }
  co_return Result<void>{};
}

Task<> OriginCluster::Impl::fetch_context(
    std::string host, std::shared_ptr<std::vector<std::optional<Result<PeerContext>>>> out, size_t index) {
  LookupCache<std::string, PeerContext>::Fetch ask = [this, host] { return ask_context(host); };
  auto context = co_await contexts.get(host, ask);
  if (!context) log.warn("origin {} does not tell its peer context: {}", host, context.error().message);
  (*out)[index] = std::move(context);
}

Task<Result<std::vector<PeerInfo>>> OriginCluster::peers(Digest digest) {
  auto owners = co_await locations(digest);
  if (!owners) co_return propagate(owners);
  Impl* impl = impl_.get();
  auto contexts = std::make_shared<std::vector<std::optional<Result<PeerContext>>>>(owners->size());
  std::function<Task<>(size_t)> fetch = [impl, hosts = *owners, contexts](size_t i) {
    return impl->fetch_context(hosts[i], contexts, i);
  };
  co_await io::run_parallel(impl->services.loop, impl->tasks, owners->size(), parallel_contexts, fetch);

  std::vector<PeerInfo> peers;
  Error last{Errc::cancelled, "shutting down", 0};
  for (const auto& context : *contexts) {
    if (context && *context) {
      const PeerContext& c = **context;
      // Two labels of one origin are one peer.
      const bool known = std::any_of(peers.begin(), peers.end(),
                                     [&c](const PeerInfo& peer) { return peer.peer_id == c.peer_id; });
      if (!known) peers.push_back({c.peer_id, c.ip, c.port, true, true});
    } else if (context) {
      last = context->error();
    }
  }
  if (peers.empty()) co_return fail(std::move(last));
  co_return peers;
}

Task<Result<void>> OriginCluster::ready() {
  auto owners = co_await locations(random_digest(impl_->services.random));
  if (!owners) co_return propagate(owners);
  const size_t pick = impl_->services.random.below(owners->size());
  co_return co_await impl_->origin((*owners)[pick]).ready();
}

}  // namespace krakend::api
