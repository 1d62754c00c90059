#include <algorithm>

#include "p2p/torrent.h"

namespace krakend::p2p {
namespace {

/// Announce intervals a tracker may ask for; anything else becomes the default (contract p2p §10.3).
constexpr Duration default_interval = 5s;
constexpr Duration max_interval = 1min;
/// With nobody connected the next announce comes soon, then less and less so.
constexpr Duration first_starved_interval = 250ms;
/// A peer whose connection carried nothing for this long may be replaced by a new connection of the same
/// peer: it has restarted, and we have not noticed that the old one is dead.
constexpr Duration replaceable_after = 3s;
/// The last announce (complete) is worth this many attempts.
constexpr int complete_attempts = 3;

}  // namespace

Task<> Torrent::announce_loop(std::shared_ptr<Torrent> self) {
  Duration starved_interval = first_starved_interval;
  while (!self->complete_ && !self->failure_ && !self->have_.all()) {
    const auto interval = (co_await self->announce_once(false)).value_or(default_interval);
    if (self->complete_ || self->failure_) break;
    // A dial that is under way counts as company: its failure wakes us.
    const bool alone = self->peers_.empty() && self->dialing_.empty();
    starved_interval = alone ? std::min(starved_interval * 2, interval) : first_starved_interval;
    co_await self->starved_.wait_for(self->context_->clock, alone ? starved_interval : interval);
  }
}

Task<> Torrent::announce_complete(std::shared_ptr<Torrent> self) {
  for (int attempt = 0; attempt < complete_attempts && !self->failure_; ++attempt) {
    if (co_await self->announce_once(true)) co_return;
    co_await self->context_->clock.sleep(default_interval);
  }
}

/// The interval until the next announce; nothing when the tracker did not answer.
Task<std::optional<Duration>> Torrent::announce_once(bool complete) {
  const auto& self = context_->self;
  AnnounceRequest request{
      info_->digest(), info_->info_hash(), {self.peer_id, self.ip, self.port, false, complete}};
  auto response = co_await context_->tracker->announce(std::move(request));
  if (!response) {
    context_->log.warn("digest={} announce failed: {}", info_->digest().str(), response.error().message);
    co_return std::nullopt;
  }
  if (!complete) dial_peers(response->peers);
  const Duration interval{response->interval_ns};
  co_return interval <= 0s || interval > max_interval ? default_interval : interval;
}

void Torrent::dial_peers(const std::vector<PeerInfo>& peers) {
  const auto now = context_->clock.now();
  size_t dialled = dialing_.size();
  for (const auto& [id, connection] : peers_) dialled += connection->opener() ? 1 : 0;
  for (const auto& peer : peers) {
    known_origins_[peer.peer_id] = peer.origin;
    if (complete_ || failure_ || dialled >= context_->options.max_dial || !has_room()) return;
    if (peer.peer_id == context_->self.peer_id || peers_.contains(peer.peer_id)) continue;
    if (dialing_.contains(peer.peer_id) || !backoff_.allowed(peer.peer_id, now)) continue;
    dialing_.insert(peer.peer_id);
    ++dialled;
    context_->tasks.spawn(dial(shared_from_this(), peer), "dial " + peer.ip);
  }
}

Task<> Torrent::dial(std::shared_ptr<Torrent> self, PeerInfo peer) {
  const auto& options = self->context_->options;
  const io::Address address{peer.ip, static_cast<uint16_t>(peer.port)};
  auto stream = co_await self->context_->net.connect(address, options.handshake_timeout);
  Result<void> done;
  if (stream)
    done = co_await self->handshake_as_opener(*stream, peer);
  else
    done = propagate(stream);
  self->dialing_.erase(peer.peer_id);
  if (done) co_return;
  self->context_->log.debug("digest={} peer={} not connected: {}", self->info_->digest().str(), address.str(),
                            done.error().message);
  self->context_->torrent_log.connection(true, *self->info_, peer.peer_id, done.error().message);
  const auto now = self->context_->clock.now();
  if (done.error().code == Errc::protocol)
    self->backoff_.fault(peer.peer_id, now);
  else
    self->backoff_.refused(peer.peer_id, now);
  if (self->peers_.empty()) self->starved_.notify_all();
}

Task<Result<void>> Torrent::handshake_as_opener(io::StreamPtr stream, PeerInfo peer) {
  // One timer for both directions: a peer that neither reads nor answers is cut off.
  auto deadline =
      context_->clock.after(context_->options.handshake_timeout, [stream] { stream->shutdown(); });
  const auto frame = encode_frame(own_handshake(true, have_));
  auto written = co_await stream->write(std::as_bytes(std::span(frame)));
  if (!written) co_return propagate(written);
  auto reply = co_await read_message(*stream);
  deadline.cancel();
  if (!reply) co_return propagate(reply);
  auto* theirs = std::get_if<Handshake>(&*reply);
  if (theirs == nullptr) co_return fail(Errc::protocol, "first message is not a bitfield");
  if (theirs->peer_id != peer.peer_id) co_return fail(Errc::protocol, "unexpected peer id");
  if (theirs->have.size() != info_->piece_count()) {
    co_return fail(Errc::protocol, "bitfield of {} bits for {} pieces", theirs->have.size(),
                   info_->piece_count());
  }
  if (peers_.contains(peer.peer_id)) co_return fail(Errc::conflict, "connected meanwhile");
  if (failure_ || complete_) co_return fail(Errc::cancelled, "download has ended");
  add_connection(stream, std::move(*theirs), peer.origin, true);
  co_return Result<void>{};
}

Handshake Torrent::own_handshake(bool opener, Bitfield shown) const {
  Handshake handshake{info_->info_hash(), info_->digest(),   context_->self.peer_id,
                      std::move(shown),   opener ? ns_ : "", {}};
  for (const auto& [id, connection] : peers_) handshake.neighbours.push_back(id);
  return handshake;
}

bool Torrent::may_replace(const Connection& old) const {
  return context_->clock.now() - std::max(old.last_useful, old.last_progress) > replaceable_after;
}

Task<> Torrent::accept(io::StreamPtr stream, Handshake peer) {
  const auto now = context_->clock.now();
  const auto refuse = [&](std::string_view why) {
    context_->log.debug("digest={} peer={} refused: {}", info_->digest().str(), stream->peer().str(), why);
    context_->torrent_log.connection(false, *info_, peer.peer_id, why);
  };
  if (failure_) co_return refuse("torrent has ended");
  if (peer.info_hash != info_->info_hash()) co_return refuse("cut into other pieces than ours");
  if (peer.have.size() != info_->piece_count()) co_return refuse("bitfield of wrong length");
  if (peer.peer_id == context_->self.peer_id) co_return refuse("our own peer id");
  if (backoff_.is_faulty(peer.peer_id, now)) co_return refuse("sent wrong bytes before");
  // Both dialled each other: the link whose opener has the smaller id stays, on both sides.
  if (dialing_.contains(peer.peer_id) && context_->self.peer_id < peer.peer_id)
    co_return refuse("already dialling");
  if (const auto old = peers_.find(peer.peer_id); old != peers_.end()) {
    if (!may_replace(*old->second)) co_return refuse("already connected");
    drop_connection(ConnectionPtr(old->second));
  }
  if (peers_.size() >= context_->options.max_open_conn) co_return refuse("full");
  auto deadline =
      context_->clock.after(context_->options.handshake_timeout, [stream] { stream->shutdown(); });
  const auto id = peer.peer_id;
  const auto had = super_seeding() ? seeder_->add_peer(id, peer.have) : have_;
  const auto frame = encode_frame(own_handshake(false, had));
  auto written = co_await stream->write(std::as_bytes(std::span(frame)));
  deadline.cancel();
  if (!written || failure_ || peers_.contains(id)) {
    if (super_seeding() && !peers_.contains(id)) show(seeder_->remove_peer(id));
    co_return;
  }
  const auto known = known_origins_.find(id);
  add_connection(stream, std::move(peer), known != known_origins_.end() && known->second, false);
  if (super_seeding()) co_return;
  // Pieces that arrived while the reply was on its way.
  for (PieceIndex index = 0; index < have_.size(); ++index) {
    if (have_.test(index) && !had.test(index)) peers_.at(id)->send(AnnouncePiece{index});
  }
}

void Torrent::add_connection(io::StreamPtr stream, Handshake peer, bool origin, bool opener) {
  const auto self = shared_from_this();
  const auto now = context_->clock.now();
  context_->torrent_log.connection(opener, *info_, peer.peer_id, {});
  picker_.add_peer(peer.have);
  auto connection =
      std::make_shared<Connection>(context_->loop, std::move(stream), std::move(peer), origin, opener, now);
  peers_[connection->id()] = connection;
  backoff_.succeeded(connection->id());
  const std::weak_ptr<Connection> weak = connection;
  const auto on_sent = [self, weak](PieceIndex index) {
    const auto sender = weak.lock();
    self->sent_ += self->info_->piece_size(index);
    if (!sender) return;
    ++self->tally(sender->id()).pieces_sent;
    sender->last_useful = self->context_->clock.now();
    sender->last_taken = sender->last_useful;
    // As the reference does: what was sent will be there. It saves an ANNOUNCE in each direction.
    if (sender->have().set(index)) self->picker_.add_piece(index);
    if (self->super_seeding()) self->show(self->seeder_->took(sender->id(), index, true));
  };
  const auto may_send = [self](PieceIndex index) { return self->may_send(index); };
  Connection::Payload payload{file_, info_, &context_->egress, &context_->turns, may_send, on_sent};
  context_->tasks.spawn(Connection::write_loop(connection, std::move(payload)), "peer writer");
  context_->tasks.spawn(read_loop(self, connection), "peer reader");
  request_more();
}

void Torrent::drop_connection(const ConnectionPtr& connection) {
  connection->close();
  const auto found = peers_.find(connection->id());
  if (found == peers_.end() || found->second != connection) return;
  peers_.erase(found);
  picker_.remove_peer(connection->have());
  release_requests(connection->id());
  if (super_seeding()) show(seeder_->remove_peer(connection->id()));
  last_used_ = context_->clock.now();
  if (complete_ || failure_) return;
  if (!backoff_.is_faulty(connection->id(), last_used_)) backoff_.refused(connection->id(), last_used_);
  request_more();
  if (peers_.empty()) starved_.notify_all();
}

/// Looks after what no message tells: peers gone silent, endgame, and a download that gets nowhere.
Task<> Torrent::watch_loop(std::shared_ptr<Torrent> self) {
  for (unsigned round = 1; !self->complete_ && !self->failure_ && !self->have_.all(); ++round) {
    co_await self->context_->clock.sleep(watch_interval);
    const auto now = self->context_->clock.now();
    if (round % watches_per_check == 0) {
      for (const auto& [id, connection] : std::map(self->peers_)) self->check_stalled(connection, now);
    }
    self->request_more();
    if (now - self->last_piece_ > self->context_->options.leecher_tti) {
      self->context_->torrent_log.timed_out(false, *self->info_);
      self->fail_with(
          Error{Errc::timeout, fmt::format("blob {}: no piece for {:.0f} s", self->info_->digest().str(),
                                           to_seconds(self->context_->options.leecher_tti))});
    }
  }
}

void Torrent::check_stalled(const ConnectionPtr& connection, TimePoint now) {
  const auto bytes = connection->stream().bytes_received();
  if (bytes != connection->seen_bytes) {
    connection->seen_bytes = bytes;
    connection->last_progress = now;
  }
  // A peer that has been fast is missed sooner; a slow one has its time.
  const double piece_time = connection->times.seconds().value_or(typical_piece_time());
  const auto deadline = request_deadline(piece_time, context_->budget.outstanding(), context_->budget.rate());
  const auto limit = std::min(context_->options.stall_timeout, deadline);
  if (connection->snubbed) {
    if (now - connection->last_progress > 3 * limit) drop_connection(connection);
    return;
  }
  const auto oldest = requests_.oldest(connection->id());
  if (!oldest || now - std::max(*oldest, connection->last_progress) <= limit) return;
  context_->log.info("digest={} peer={} silent for {:.1f} s, its pieces are asked for elsewhere",
                     info_->digest().str(), connection->address().str(), to_seconds(limit));
  if (connection
          ->receiving) {  // the half piece is in the file: nobody else may write it before this one ends
    drop_connection(connection);
    return;
  }
  connection->snubbed = true;
  release_requests(connection->id());
  request_more();
}

void Torrent::show(const std::vector<SuperSeeder::Shown>& shown) {
  for (const auto& [peer, piece] : shown) {
    const auto found = peers_.find(peer);
    if (found != peers_.end()) found->second->send(AnnouncePiece{piece});
  }
}

}  // namespace krakend::p2p
