#include "p2p/engine_impl.h"

namespace krakend::p2p {

Task<> Engine::Impl::accept_loop(std::shared_ptr<Impl> self) {
  while (!self->stopped) {
    auto stream = co_await self->listener->accept();
    if (!stream) co_return;
    if (self->pending_handshakes >= max_pending_handshakes) continue;
    ++self->pending_handshakes;
    self->context->tasks.spawn(self->serve_incoming(self, *stream), "incoming peer");
  }
}

/// Reads the opener's handshake and hands the stream to its torrent. Whatever is wrong: closed without a
/// reply, as the reference does.
Task<> Engine::Impl::serve_incoming(std::shared_ptr<Impl> self, io::StreamPtr stream) {
  struct Pending {
    size_t& count;
    ~Pending() { --count; }
  } pending{self->pending_handshakes};
  const auto& ctx = *self->context;
  auto deadline = ctx.clock.after(ctx.options.handshake_timeout, [stream] { stream->shutdown(); });
  auto message = co_await read_message(*stream);
  deadline.cancel();
  if (!message) {
    const auto level = message.error().code == Errc::protocol ? LogLevel::warn : LogLevel::debug;
    ctx.log.write(
        level, fmt::format("peer={} handshake refused: {}", stream->peer().str(), message.error().message));
    co_return;
  }
  auto* handshake = std::get_if<Handshake>(&*message);
  if (handshake == nullptr) {
    ctx.log.warn("peer={} handshake refused: first message is not a bitfield", stream->peer().str());
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
  co_return torrent;
}

/// Forgets what is over: failed torrents, and seeding ones that nobody has used for seeder_tti. Their blobs
/// stay on disk and are served again when asked for.
Task<> Engine::Impl::sweep_loop(std::shared_ptr<Impl> self) {
  while (!self->stopped) {
    co_await self->context->clock.sleep(sweep_interval);
    const auto now = self->context->clock.now();
    for (const auto& [digest, torrent] : self->torrents) {
      torrent->close_idle_connections(now);
      torrent->help_peers(now);
    }
    std::erase_if(self->torrents, [&](const auto& item) {
      const auto& torrent = *item.second;
      if (torrent.failed()) return true;
      const bool over = torrent.complete() && torrent.idle() &&
                        now - torrent.last_used() > self->context->options.seeder_tti;
      if (over) {
        self->context->torrent_log.timed_out(true, torrent.info());
        torrent.log_leechers();
      }
      return over;
    });
  }
}

}  // namespace krakend::p2p
