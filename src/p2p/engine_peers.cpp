#include "p2p/engine_impl.h"

namespace krakend::p2p {

Task<> Engine::Impl::accept_loop(std::shared_ptr<Impl> self) {
  while (!self->stopped) {
    auto stream = co_await self->listener->accept();
    if (!stream) co_return;
    self->context->tasks.spawn(self->serve_incoming(self, *stream), "incoming peer");
  }
}

/// The first message of an opener, within the handshake's time.
Task<Result<Message>> Engine::Impl::read_handshake(std::shared_ptr<Impl> self, io::StreamPtr stream) {
  struct Pending {
    Pending(std::list<io::StreamPtr>& list, const io::StreamPtr& stream)
        : all(list), own(list.insert(list.end(), stream)) {}
    Pending(const Pending&) = delete;
    Pending& operator=(const Pending&) = delete;
    ~Pending() { all.erase(own); }
    std::list<io::StreamPtr>& all;
    std::list<io::StreamPtr>::iterator own;
  };
  auto& all = self->pending_handshakes;
  if (all.size() >= max_pending_handshakes) {
    self->context->met(SwarmLimit::handshakes);
    all.front()->shutdown();
  }
  const Pending pending(all, stream);
  const auto deadline = self->context->handshake_deadline(stream);
  co_return co_await read_message(*stream);
}

/// Reads the opener's handshake and hands the stream to its torrent. Whatever is wrong: closed without a
/// reply, as the reference does.
Task<> Engine::Impl::serve_incoming(std::shared_ptr<Impl> self, io::StreamPtr stream) {
  auto& ctx = *self->context;
  const auto remark = [&ctx, &stream](const std::string& why) {
    const bool loud = ctx.remarks.allows(stream->peer().host, ctx.clock.now());
    ctx.log.write(loud ? LogLevel::warn : LogLevel::debug,
                  fmt::format("peer={} handshake refused: {}", stream->peer().str(), why));
  };
  auto message = co_await read_handshake(self, stream);
  if (!message) {
    if (message.error().code == Errc::protocol)
      remark(message.error().message);
    else
      ctx.log.debug("peer={} no handshake: {}", stream->peer().str(), message.error().message);
    co_return;
  }
  auto* handshake = std::get_if<Handshake>(&*message);
  if (handshake == nullptr) {
    remark("first message is not a bitfield");
    co_return;
  }
  auto torrent = co_await self->find_for_peer(handshake->ns, handshake->digest);
  if (!torrent) {
    if (self->miss) self->miss(handshake->ns, handshake->digest);
    ctx.log.debug("peer={} handshake: {}", stream->peer().str(), torrent.error().message);
    co_return;
  }
  co_await (*torrent)->accept(stream, std::move(*handshake));
}

/// The active torrent, or a new seeding one for a complete blob on disk.
Task<Result<TorrentPtr>> Engine::Impl::find_for_peer(std::string ns, Digest digest) {
  if (auto torrent = active(digest)) co_return torrent;
  auto info = co_await context->store.metainfo(digest);
  if (!info) co_return propagate(info);
  auto blob = co_await context->store.open(digest);
  if (!blob) co_return propagate(blob);
  // Somebody else may have activated it during the disk work.
  if (auto torrent = active(digest)) co_return torrent;
  auto torrent = std::make_shared<Torrent>(context, std::move(ns), std::move(*info), *blob);
  torrents[digest] = torrent;
  torrent->announce_itself();
  co_return torrent;
}

Task<> Engine::Impl::load_loop(std::shared_ptr<Impl> self) {
  while (!self->stopped) {
    co_await self->context->backlog.changed();
    co_await self->context->clock.sleep(load_interval);
    const auto now = self->context->clock.now();
    for (const auto& [digest, torrent] : self->torrents) {
      torrent->report_load();
      torrent->doubt_slow_peers(now);
    }
  }
}

Task<> Engine::Impl::sweep_loop(std::shared_ptr<Impl> self) {
  const auto& ctx = *self->context;
  self->last_preemption = ctx.clock.now();
  while (!self->stopped) {
    co_await ctx.clock.sleep(sweep_interval);
    const auto now = ctx.clock.now();
    for (const auto& [digest, torrent] : self->torrents) {
      torrent->help_peers(now);
      torrent->measure(now);
    }
    std::erase_if(self->torrents, [](const auto& item) { return item.second->failed(); });
    const auto& options = ctx.options;
    if (options.disable_preemption || now - self->last_preemption < options.preemption_interval) continue;
    self->last_preemption = now;
    self->preempt(now);
  }
}

void Engine::Impl::preempt(TimePoint now) {
  for (const auto& [digest, torrent] : torrents) torrent->close_old_connections(now);
  // Blobs stay on disk and are served again when asked for.
  std::erase_if(torrents, [&](const auto& item) {
    const auto& torrent = *item.second;
    const bool over =
        torrent.complete() && torrent.idle() && now - torrent.last_used() > context->options.seeder_tti;
    if (over) context->torrent_log.seed_timeout(torrent.info());
    return over;
  });
}

}  // namespace krakend::p2p
