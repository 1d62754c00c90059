#include <algorithm>
#include <limits>

#include "krakend/core/counted.h"
#include "p2p/torrent.h"

namespace krakend::p2p {
namespace {

/// Announce intervals a tracker may ask for; anything else becomes the default (contract p2p §10.3).
constexpr Duration default_interval = 5s;
constexpr Duration max_interval = 1min;
/// With nobody connected the next announce comes soon, then less and less so.
constexpr Duration first_starved_interval = 250ms;
/// A connection that carried nothing for this long may be replaced by a new one of the same peer, which has
/// restarted without our noticing that the old one is dead, or of another peer when all places are taken.
constexpr Duration replaceable_after = 3s;
/// What a peer that finds no room is told to wait; it adds up to as much again.
constexpr Duration busy_retry = 1s;
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
  announce_error_ = response ? "" : response.error().message;
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
  origins_.clear();
  named_ = banned_ = 0;
  for (const auto& peer : peers) {
    if (peer.peer_id == context_->self.peer_id) continue;
    known_origins_[peer.peer_id] = peer.origin;
    if (peer.origin) origins_.push_back(peer);
    ++(backoff_.is_banned(peer.peer_id) ? banned_ : named_);
  }
  for (const auto& peer : peers) {
    if (complete_ || failure_ || dialled >= context_->options.max_dial || !has_room()) return;
    if (start_dial(peer, now)) ++dialled;
  }
}

/// False when the peer is connected, left alone for now, or ourselves.
bool Torrent::start_dial(const PeerInfo& peer, TimePoint now) {
  if (peer.peer_id == context_->self.peer_id || peers_.contains(peer.peer_id)) return false;
  if (!backoff_.allowed(peer.peer_id, now)) return false;
  if (!dialing_.insert(peer.peer_id).second) return false;
  context_->tasks.spawn(dial(shared_from_this(), peer), "dial " + peer.ip);
  return true;
}

void Torrent::seek_origins(TimePoint now) {
  if (now - last_origin_sought_ < origin_patience || !has_room()) return;
  unsigned connected = 0;
  double fastest = std::numeric_limits<double>::max();
  for (const auto& [id, connection] : peers_) {
    if (!connection->origin()) continue;
    ++connected;
    fastest = std::min(fastest, connection->times.seconds().value_or(fastest));
  }
  const double alone = static_cast<double>(info_->piece_length()) / fastest;
  if (connected > 0 && intake_.rate() >= alone) return;
  for (const auto& origin : origins_) {
    if (!start_dial(origin, now)) continue;
    last_origin_sought_ = now;
    return;
  }
}

/// Whoever waits is told early when waiting helps nothing. Peers that answer, be it with a refusal, are hope.
void Torrent::give_up_without_peers(TimePoint now) {
  if (!peers_.empty()) {
    last_company_ = now;
    unreachable_ = 0;
    return;
  }
  if (!dialing_.empty()) return;
  const bool nobody = announce_error_.empty() && named_ == 0;
  if (!nobody && announce_error_.empty() && unreachable_ == 0) return;
  const auto& no_peer = context_->options.no_peer_timeout;
  if (now - last_company_ <= (nobody ? std::min(hopeless_after, no_peer) : no_peer)) return;
  context_->met(SwarmLimit::no_peer_time);
  const auto code = nobody && banned_ == 0 ? Errc::not_found : Errc::unavailable;
  auto why = fmt::format("blob {} cannot be fetched: {}", info_->digest().str(), waits_for());
  context_->log.warn("digest={} download given up: {}", info_->digest().str(), why);
  fail_with(Error{code, std::move(why)});
}

Task<> Torrent::dial(std::shared_ptr<Torrent> self, PeerInfo peer) {
  const auto& options = self->context_->options;
  const io::Address address{peer.ip, static_cast<uint16_t>(peer.port)};
  auto stream = co_await self->context_->net.connect(address, options.handshake_timeout);
  Result<void> done;
  Duration busy_for{0};
  if (stream) {
    self->last_company_ = self->context_->clock.now();
    self->unreachable_ = 0;
  } else {
    ++self->unreachable_;
  }
  if (stream)
    done = co_await self->handshake_as_opener(*stream, peer, busy_for);
  else
    done = propagate(stream);
  self->dialing_.erase(peer.peer_id);
  if (done) co_return;
  self->context_->log.debug("digest={} peer={} not connected: {}", self->info_->digest().str(), address.str(),
                            done.error().message);
  const auto now = self->context_->clock.now();
  self->context_->torrent_log.rejected(TorrentLog::Side::outgoing, *self->info_, peer.peer_id,
                                       done.error().message);
  self->note_blacklisted(peer.peer_id, self->leave_alone(peer.peer_id, done.error(), busy_for, now));
  if (self->peers_.empty()) self->starved_.notify_all();
}

/// The pause that a failed dial costs.
Duration Torrent::leave_alone(const PeerId& peer, const Error& error, Duration busy_for, TimePoint now) {
  if (error.code == Errc::protocol) return backoff_.fault(peer, now);
  if (busy_for == Duration{0}) return backoff_.refused(peer, now);
  // All that were told the same must not come back at the same moment.
  const auto spread = std::chrono::microseconds(context_->random.below(
      static_cast<uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(busy_for).count())));
  return backoff_.busy(peer, now, busy_for + spread);
}

/// `busy_for`: set when the other side has no room.
Task<Result<void>> Torrent::handshake_as_opener(io::StreamPtr stream, PeerInfo peer, Duration& busy_for) {
  // One timer for both directions: a peer that neither reads nor answers is cut off.
  auto deadline = context_->handshake_deadline(stream);
  const auto ours = own_handshake(own_extension(), true, have_);
  const auto frame = encode_frame(ours);
  auto written = co_await stream->write(std::as_bytes(std::span(frame)));
  if (!written) co_return propagate(written);
  auto reply = co_await read_message(*stream);
  deadline.cancel();
  if (!reply) co_return propagate(reply);
  if (const auto* busy = std::get_if<Busy>(&*reply); busy != nullptr && own_extension() > 0) {
    busy_for = std::max<Duration>(busy->retry, 1ms);
    co_return fail(Errc::unavailable, "it has no room");
  }
  auto* theirs = std::get_if<Handshake>(&*reply);
  if (theirs == nullptr) co_return fail(Errc::protocol, "first message is not a bitfield");
  if (theirs->peer_id != peer.peer_id) co_return fail(Errc::protocol, "unexpected peer id");
  if (theirs->have.size() != info_->piece_count()) {
    co_return fail(Errc::protocol, "bitfield of {} bits for {} pieces", theirs->have.size(),
                   info_->piece_count());
  }
  if (peers_.contains(peer.peer_id)) co_return fail(Errc::conflict, "connected meanwhile");
  if (failure_ || complete_) co_return fail(Errc::cancelled, "download has ended");
  if (is_full()) co_return fail(Errc::unavailable, "others called meanwhile, and there is no room");
  add_connection(stream, std::move(*theirs), ours.load, peer.origin, true);
  co_return Result<void>{};
}

uint32_t Torrent::own_extension() const {
  return context_->options.extension ? extension_version : 0;
}

Handshake Torrent::own_handshake(uint32_t extension, bool opener, Bitfield shown) const {
  Handshake handshake{info_->info_hash(), info_->digest(),   context_->self.peer_id,
                      std::move(shown),   opener ? ns_ : "", {}};
  handshake.extension = extension;
  if (extension > 0) handshake.load = context_->backlog.load();
  for (const auto& [id, connection] : peers_) handshake.neighbours.push_back(id);
  return handshake;
}

/// Whoever is told that there is room for it has its place from then on.
bool Torrent::is_full() const {
  return peers_.size() + answering_ >= context_->options.max_open_conn;
}

bool Torrent::may_replace(const Connection& old) const {
  return context_->clock.now() - std::max(old.last_useful, old.last_progress) > replaceable_after;
}

/// So that it need not guess. A peer of the reference only understands a connection that ends.
Task<> Torrent::say_busy(io::StreamPtr stream, const Handshake& peer) {
  if (own_extension() == 0 || peer.extension == 0) co_return;
  auto deadline = context_->handshake_deadline(stream);
  const auto frame = encode_frame(Busy{busy_retry});
  (void)co_await stream->write(std::as_bytes(std::span(frame)));
}

Task<> Torrent::accept(io::StreamPtr stream, Handshake peer) {
  const auto now = context_->clock.now();
  const auto refuse = [&](std::string_view why) {
    context_->torrent_log.rejected(TorrentLog::Side::incoming, *info_, peer.peer_id, why);
    context_->log.debug("digest={} peer={} refused: {}", info_->digest().str(), stream->peer().str(), why);
  };
  if (failure_) co_return refuse("torrent has ended");
  if (peer.info_hash != info_->info_hash()) co_return refuse("cut into other pieces than ours");
  if (peer.have.size() != info_->piece_count()) co_return refuse("bitfield of wrong length");
  if (peer.peer_id == context_->self.peer_id) co_return refuse("our own peer id");
  if (backoff_.is_faulty(peer.peer_id, now)) co_return refuse("left alone for a fault");
  if (backoff_.is_banned_host(stream->peer().host)) co_return refuse("a host of liars");
  if (too_mutual(peer.neighbours)) {
    context_->met(SwarmLimit::mutual_connections);
    refuse("too many mutual connections");
    co_return co_await say_busy(stream, peer);
  }
  // Both dialled each other: the link whose opener has the smaller id stays, on both sides.
  if (dialing_.contains(peer.peer_id) && context_->self.peer_id < peer.peer_id)
    co_return refuse("already dialling");
  if (const auto old = peers_.find(peer.peer_id); old != peers_.end()) {
    if (!may_replace(*old->second)) co_return refuse("already connected");
    drop_connection(ConnectionPtr(old->second));
  }
  if (is_full()) {
    context_->met(SwarmLimit::connections);
    if (!make_room(now)) {
      refuse("full");
      co_return co_await say_busy(stream, peer);
    }
  }
  auto deadline = context_->handshake_deadline(stream);
  const auto id = peer.peer_id;
  const auto extension = std::min(own_extension(), peer.extension);
  const auto had = super_seeding() ? seeder_->add_peer(id, peer.have, extension == 0) : have_;
  const auto ours = own_handshake(extension, false, had);
  const auto frame = encode_frame(ours);
  Result<void> written;
  {
    const Counted place(answering_);
    written = co_await stream->write(std::as_bytes(std::span(frame)));
  }
  deadline.cancel();
  if (!written || failure_ || peers_.contains(id)) {
    if (super_seeding() && !peers_.contains(id)) show(seeder_->remove_peer(id));
    co_return;
  }
  const auto known = known_origins_.find(id);
  add_connection(stream, std::move(peer), ours.load, known != known_origins_.end() && known->second, false);
  if (super_seeding()) co_return;
  // Pieces that arrived while the reply was on its way.
  for (PieceIndex index = 0; index < have_.size(); ++index) {
    if (have_.test(index) && !had.test(index)) announce(*peers_.find(id)->second, announcement_of(index));
  }
}

void Torrent::add_connection(io::StreamPtr stream, Handshake peer, const std::optional<Load>& told,
                             bool origin, bool opener) {
  const auto self = shared_from_this();
  const auto now = context_->clock.now();
  picker_.add_peer(peer.have);
  auto connection = std::make_shared<Connection>(context_->loop, context_->backlog, info_, std::move(stream),
                                                 std::move(peer), told, origin, opener, now);
  peers_[connection->id()] = connection;
  context_->events.about_peer("add_active_conn", info_->info_hash(), connection->id());
  context_->torrent_log.connected(opener ? TorrentLog::Side::outgoing : TorrentLog::Side::incoming, *info_,
                                  connection->id());
  backoff_.succeeded(connection->id());
  const std::weak_ptr<Connection> weak = connection;
  const auto on_sent = [self, weak](PieceIndex index) {
    const auto sender = weak.lock();
    self->sent_ += self->info_->piece_size(index);
    self->context_->metrics.sent.add(self->info_->piece_size(index));
    if (!sender) return;
    if (auto* counted = self->counts(*sender)) ++counted->pieces_sent;
    sender->declined_since.reset();
    sender->last_useful = self->context_->clock.now();
    sender->last_taken = sender->last_useful;
    // As the reference does: what was sent will be there. It saves an ANNOUNCE in each direction.
    if (sender->have().set(index)) self->picker_.add_piece(index);
    if (!self->super_seeding()) return;
    if (sender->sending_since)
      self->note_transfer(sender->id(), to_seconds(sender->last_taken - *sender->sending_since));
    self->show(self->seeder_->took(sender->id(), index, true));
  };
  const auto may_send = [self, weak](PieceIndex index) {
    if (const auto receiver = weak.lock()) self->begin_giving(*receiver, index);
    return self->may_send(index);
  };
  Connection::Payload payload{file_,  &context_->egress, &context_->turns, &context_->clock, may_send,
                              on_sent};
  context_->tasks.spawn(Connection::write_loop(connection, std::move(payload)), "peer writer");
  context_->tasks.spawn(read_loop(self, connection), "peer reader");
  report(*connection, load_report());  // what has changed since the handshake was written
  request_more();
}

void Torrent::drop_connection(const ConnectionPtr& connection) {
  connection->close();
  const auto found = peers_.find(connection->id());
  if (found == peers_.end() || found->second != connection) return;
  peers_.erase(found);
  if (connection->unread()) context_->met(SwarmLimit::unread_bytes);
  context_->events.about_peer("drop_active_conn", info_->info_hash(), connection->id());
  picker_.remove_peer(connection->have());
  release_requests(connection->id());
  if (super_seeding()) show(seeder_->remove_peer(connection->id()));
  last_used_ = context_->clock.now();
  if (complete_ || failure_) return;
  if (!backoff_.is_faulty(connection->id(), last_used_))
    note_blacklisted(connection->id(), backoff_.refused(connection->id(), last_used_));
  request_more();
  if (peers_.empty()) starved_.notify_all();
}

void Torrent::note_blacklisted(const PeerId& peer, Duration pause) const {
  NetworkEvents::Details details;
  details.peer = peer;
  details.duration = pause;
  context_->events.write("blacklist_conn", info_->info_hash(), details);
}

bool Torrent::make_room(TimePoint now) {
  ConnectionPtr idlest;
  for (const auto& [id, connection] : peers_) {
    const bool busy = requests_.outstanding(id) > 0 || connection->queued_pieces() > 0;
    if (busy || connection->receiving || now - connection->last_useful <= replaceable_after) continue;
    if (!idlest || connection->last_useful < idlest->last_useful) idlest = connection;
  }
  if (!idlest) return false;
  drop_connection(idlest);
  return true;
}

bool Torrent::is_too_slow(const Connection& connection, TimePoint now) const {
  if (!connection.receiving || picker_.availability(connection.receiving_piece) < 2) return false;
  double sum = 0;
  unsigned known = 0;
  for (const auto& [id, other] : peers_) {
    const auto seconds = other->times.seconds();
    if (!seconds || other.get() == &connection) continue;
    sum += *seconds;
    ++known;
  }
  const Duration slowest = longest_wait();
  Duration limit = slowest;
  if (known > 0) {
    const std::chrono::duration<double> relative(slow_factor * sum / known);
    limit =
        std::clamp(std::chrono::duration_cast<Duration>(relative), std::min(slow_at_least, slowest), slowest);
  }
  return now - connection.receiving_since > limit;
}

bool Torrent::too_mutual(const std::vector<PeerId>& neighbours) const {
  const auto& options = context_->options;
  const unsigned most = options.max_mutual_conn > 0 ? options.max_mutual_conn : options.max_open_conn;
  const auto mutual = std::count_if(neighbours.begin(), neighbours.end(), [this](const PeerId& id) {
    return peers_.contains(id) || dialing_.contains(id);
  });
  return static_cast<size_t>(mutual) > most;
}

/// Looks after what no message tells: peers gone silent, endgame, and a download that gets nowhere.
Task<> Torrent::watch_loop(std::shared_ptr<Torrent> self) {
  for (unsigned round = 1; !self->complete_ && !self->failure_ && !self->have_.all(); ++round) {
    co_await self->context_->clock.sleep(watch_interval);
    const auto now = self->context_->clock.now();
    if (round % watches_per_check == 0) {
      for (const auto& [id, connection] : FlatMap(self->peers_)) self->check_stalled(connection, now);
    }
    self->request_more();
    self->seek_origins(now);
    self->give_up_without_peers(now);
    const auto& options = self->context_->options;
    if (!options.disable_preemption && now - self->last_piece_ > options.leecher_tti) {
      self->context_->met(SwarmLimit::no_piece_time);
      self->context_->torrent_log.leech_timeout(*self->info_);
      self->fail_with(
          Error{Errc::timeout, fmt::format("blob {}: no piece for {:.0f} s", self->info_->digest().str(),
                                           to_seconds(options.leecher_tti))});
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
  if (is_too_slow(*connection, now)) {
    context_->log.info("digest={} peer={} gives piece {} too slowly, it is asked for elsewhere",
                       info_->digest().str(), connection->address().str(), connection->receiving_piece);
    note_blacklisted(connection->id(), backoff_.fault(connection->id(), now));
    drop_connection(connection);
    return;
  }
  const double piece_time = connection->times.seconds().value_or(typical_piece_time());
  const auto deadline = request_deadline(piece_time, context_->budget.outstanding(), context_->budget.rate());
  const auto limit = std::min({context_->options.stall_timeout, deadline, longest_wait()});
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

/// What the configuration says of a request's time (contract p2p §9).
Duration Torrent::longest_wait() const {
  const auto& options = context_->options;
  const double mib = static_cast<double>(info_->piece_size(0)) / static_cast<double>(MiB);
  const auto by_size = std::chrono::duration_cast<Duration>(options.piece_request_timeout_per_mb * mib);
  return std::max(options.piece_request_min_timeout, by_size);
}

bool Torrent::refuse_repeated(Connection& connection, PieceIndex piece) {
  // A peer of the reference takes a refusal for a fault of the piece, and asks again and again.
  if (!super_seeding() || !connection.extended()) return false;
  if (!seeder_->is_elsewhere(connection.id(), piece)) return false;
  connection.send(PieceError{piece, "other peers have it"});
  show(seeder_->refused(connection.id(), piece));
  return true;
}

void Torrent::begin_giving(Connection& connection, PieceIndex piece) {
  if (!super_seeding()) return;
  seeder_->begins(connection.id(), piece);
  for (const auto& [id, other] : peers_) {
    if (other.get() == &connection || !other->asks_for(piece)) continue;
    if (refuse_repeated(*other, piece)) (void)other->cancel_piece(piece);
  }
}

void Torrent::show(const std::vector<SuperSeeder::Shown>& shown) {
  for (const auto& [peer, piece] : shown) {
    const auto found = peers_.find(peer);
    if (found != peers_.end()) announce(*found->second, announcement_of(piece));
  }
}

}  // namespace krakend::p2p
