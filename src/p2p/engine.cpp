#include "krakend/p2p/engine.h"

#include "p2p/engine_impl.h"

namespace krakend::p2p {

Engine::Engine(Services services, EngineSelf self, EngineOptions options, Tracker* tracker, Logger log)
    : impl_(std::make_shared<Impl>(
          std::make_shared<Context>(services, std::move(self), options, tracker, log.module("p2p")))) {
  services.metrics.on_read([weak = std::weak_ptr(impl_)] {
    if (const auto impl = weak.lock()) impl->show_use();
  });
}

Engine::~Engine() = default;

Result<void> Engine::configure(EngineOptions options) {
  auto& context = *impl_->context;
  options.network_event = context.options.network_event;
  options.super_seeding = context.options.super_seeding;
  options.serve_unverified_ranges = context.options.serve_unverified_ranges;
  options.no_peer_timeout = context.options.no_peer_timeout;
  if (options.torrent_log != context.options.torrent_log) {
    if (auto opened = impl_->open_torrent_log(options.torrent_log); !opened) return opened;
  }
  context.options = std::move(options);
  context.limit_rates();
  for (const auto& [digest, torrent] : impl_->torrents) torrent->configured();
  return {};
}

void Engine::Impl::show_use() const {
  SwarmUse use;
  for (const auto& [digest, torrent] : torrents) torrent->add_use(use);
  use.handshakes = pending_handshakes.size();
  use.uploads = context->turns.running();
  use.uploads_waiting = context->turns.waiting();
  use.requested_bytes = context->budget.outstanding();
  context->metrics.show(use);
}

Result<void> Engine::Impl::open_torrent_log(const TorrentLogOptions& options) {
  LineLog file;
  if (!options.path.empty() && !options.disable) {
    auto opened = LineLog::open(options.path);
    if (!opened) return fail(opened.error().code, "scheduler.torrentlog.path: {}", opened.error().message);
    file = *opened;
  }
  context->torrent_log.write_to(std::move(file), options);
  return {};
}

Result<void> Engine::Impl::open_logs() {
  const EngineOptions& options = context->options;
  if (options.network_event.enabled) {
    auto opened = LineLog::open(options.network_event.log_path);
    if (!opened) return fail(opened.error().code, "network_event.log_path: {}", opened.error().message);
    context->events.write_to(*opened);
  }
  return open_torrent_log(options.torrent_log);
}

void Engine::on_miss(Miss miss) {
  impl_->miss = std::move(miss);
}

Result<io::Address> Engine::start() {
  auto& self = impl_->context->self;
  if (auto opened = impl_->open_logs(); !opened) return propagate(opened);
  auto listener = impl_->context->net.listen({self.listen_host, static_cast<uint16_t>(self.port)});
  if (!listener) return propagate(listener);
  impl_->listener = std::move(*listener);
  const bool picked = self.port == 0;
  self.port = impl_->listener->local().port;
  // The id follows the address (addr_hash) unless the caller has chosen one.
  if (self.peer_id == PeerId{} || picked) self.peer_id = addr_hash_peer_id(self.ip, self.port);
  impl_->context->store.add_eviction_guard([weak = std::weak_ptr(impl_)](const Digest& digest) {
    const auto impl = weak.lock();
    return !impl || impl->let_go(digest);
  });
  impl_->context->tasks.spawn_essential(impl_->accept_loop(impl_), "peer listener");
  impl_->context->tasks.spawn_essential(impl_->sweep_loop(impl_), "torrent sweep");
  impl_->context->tasks.spawn(impl_->load_loop(impl_), "load reports");
  return impl_->listener->local();
}

const EngineSelf& Engine::self() const {
  return impl_->context->self;
}

void Engine::drain() {
  impl_->context->draining = true;
  if (impl_->listener) impl_->listener->close();
}

Task<> Engine::drained(Duration limit) {
  const auto impl = impl_;
  co_await impl->context->backlog.drained(impl->context->clock, limit);
}

io::Bandwidth& Engine::ingress() {
  return impl_->context->ingress;
}

io::Bandwidth& Engine::egress() {
  return impl_->context->egress;
}

Task<> Engine::stop() {
  const auto impl = impl_;
  impl->stopped = true;
  impl->context->stopping = true;
  if (impl->listener) impl->listener->close();
  for (const auto& [digest, torrent] : impl->torrents) {
    torrent->fail_with(Error{Errc::cancelled, "shutting down"});
  }
  co_await impl->context->tasks.stop();
  for (const auto& [digest, torrent] : std::unordered_map(impl->torrents)) {
    if (auto marked = co_await torrent->mark_pieces(); !marked)
      impl->context->log.warn("blob {}: its last pieces will be fetched again: {}", digest.str(),
                              marked.error().message);
  }
  for (const auto& [digest, opening] : std::unordered_map(impl->openings)) {
    if (!opening->result) opening->result = fail(Errc::cancelled, "shutting down");
    opening->done.notify_all();
  }
  impl->torrents.clear();
}

Task<Result<OpenedBlob>> Engine::open(std::string ns, Digest digest) {
  const auto impl = impl_;
  auto torrent = impl->active(digest);
  if (!torrent) {
    auto joined = co_await impl->join(impl, std::move(ns), digest);
    if (!joined) co_return propagate(joined);
    torrent = *joined;
  }
  if (torrent)
    co_return OpenedBlob{torrent->open_reader(), torrent->complete() ? Source::disk : Source::swarm};
  auto blob = co_await impl->context->store.open(digest);
  if (!blob) co_return propagate(blob);
  co_return OpenedBlob{*blob, Source::disk};
}

Task<Result<uint64_t>> Engine::size(std::string ns, Digest digest) {
  const auto impl = impl_;
  if (const auto torrent = impl->active(digest)) co_return torrent->info().length();
  auto stored = co_await impl->context->store.size(digest);
  if (stored || stored.error().code != Errc::not_found) co_return stored;
  auto info = co_await impl->metainfo(std::move(ns), digest);
  if (!info) co_return propagate(info);
  co_return info->length();
}

Task<Result<void>> Engine::remove(Digest digest) {
  const auto impl = impl_;
  if (const auto found = impl->torrents.find(digest); found != impl->torrents.end()) {
    const auto torrent = found->second;
    impl->torrents.erase(found);
    torrent->fail_with(Error{Errc::cancelled, "blob " + digest.str() + " was removed"});
    co_await torrent->discard();
  }
  auto partial = co_await impl->context->store.remove_partial(digest);
  if (!partial) co_return partial;
  auto removed = co_await impl->context->store.remove(digest);
  if (!removed && removed.error().code == Errc::not_found) co_return Result<void>{};
  co_return removed;
}

std::vector<TorrentStatus> Engine::torrents() const {
  std::vector<TorrentStatus> all;
  for (const auto& [digest, torrent] : impl_->torrents) all.push_back(torrent->status());
  return all;
}

std::optional<TorrentStatus> Engine::torrent(const Digest& digest) const {
  const auto found = impl_->torrents.find(digest);
  if (found == impl_->torrents.end()) return std::nullopt;
  return found->second->status();
}

std::vector<BlacklistEntry> Engine::blacklist() const {
  std::vector<BlacklistEntry> all;
  for (const auto& [digest, torrent] : impl_->torrents) torrent->append_blacklist(all);
  return all;
}

bool Engine::Impl::let_go(const Digest& digest) {
  if (openings.contains(digest)) return false;
  const auto found = torrents.find(digest);
  if (found == torrents.end()) return true;
  const TorrentPtr torrent = found->second;
  if (!torrent->failed() && (!torrent->complete() || !torrent->wanted_by_nobody())) return false;
  torrents.erase(found);
  torrent->fail_with(Error{Errc::cancelled, "blob " + digest.str() + " was evicted"});
  return true;
}

TorrentPtr Engine::Impl::active(const Digest& digest) const {
  const auto found = torrents.find(digest);
  return found == torrents.end() || found->second->failed() ? nullptr : found->second;
}

/// The torrent of a digest that is not active yet, or null when the blob is complete on disk.
Task<Result<TorrentPtr>> Engine::Impl::join(std::shared_ptr<Impl> self, std::string ns, Digest digest) {
  auto& opening = self->openings[digest];
  if (!opening) {
    opening = std::make_shared<Opening>(self->context->loop);
    // A task of its own: the client that asked first may go away while others wait.
    self->context->tasks.spawn(self->open_torrent(self, opening, std::move(ns), digest),
                               "open " + digest.hex());
  }
  const auto mine = opening;
  while (!mine->result) {
    if (self->stopped) co_return fail(Errc::cancelled, "shutting down");
    co_await mine->done.wait();
  }
  co_return *mine->result;
}

Task<> Engine::Impl::open_torrent(std::shared_ptr<Impl> self, std::shared_ptr<Opening> opening,
                                  std::string ns, Digest digest) {
  auto stored = co_await self->context->store.size(digest);
  if (stored) {
    opening->result = TorrentPtr{};
  } else if (stored.error().code != Errc::not_found) {
    opening->result = fail(stored.error());
  } else {
    opening->result = co_await self->start_leeching(std::move(ns), digest);
  }
  const auto& outcome = *opening->result;
  if (!outcome && outcome.error().code != Errc::not_found && !self->stopped) {
    self->context->log.error("digest={} download cannot start: {}", digest.str(), outcome.error().message);
  }
  self->openings.erase(digest);
  opening->done.notify_all();
}

Task<Result<TorrentPtr>> Engine::Impl::start_leeching(std::string ns, Digest digest) {
  if (context->tracker == nullptr)
    co_return fail(Errc::not_found, "blob {} is not stored here", digest.str());
  auto info = co_await context->store.partial_metainfo(digest);
  if (!info) info = co_await metainfo(ns, digest);
  if (!info) co_return propagate(info);
  auto partial = co_await context->store.open_partial(*info);
  if (!partial && partial.error().code == Errc::already_exists) co_return TorrentPtr{};
  if (!partial) co_return propagate(partial);
  auto torrent = std::make_shared<Torrent>(context, std::move(ns), *partial);
  torrents[digest] = torrent;
  torrent->start();
  co_return torrent;
}

Task<Result<MetaInfo>> Engine::Impl::metainfo(std::string ns, Digest digest) {
  for (const auto& info : remembered) {
    if (info.digest() == digest) co_return info;
  }
  if (context->tracker == nullptr)
    co_return fail(Errc::not_found, "blob {} is not stored here", digest.str());
  auto info = co_await context->tracker->metainfo(std::move(ns), digest);
  if (!info) co_return info;
  if (info->digest() != digest) {
    co_return fail(Errc::protocol, "tracker answered metainfo of {} for {}", info->digest().str(),
                   digest.str());
  }
  if (info->piece_count() <= max_remembered_pieces) {
    remembered.push_front(*info);
    if (remembered.size() > max_remembered_metainfo) remembered.pop_back();
  }
  co_return info;
}

}  // namespace krakend::p2p
