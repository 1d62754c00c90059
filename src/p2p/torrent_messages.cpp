#include <algorithm>

#include "krakend/core/hash.h"
#include "krakend/core/hex.h"
#include "p2p/message_reader.h"
#include "p2p/torrent.h"

namespace krakend::p2p {

/// What one peer says. Every message is handled as it comes, but for a payload: its bytes take a task.
class Torrent::Inbox final : public MessageReader {
 public:
  Inbox(Torrent& torrent, Connection& connection) : torrent_(torrent), connection_(connection) {}

  /// No more of it is to be read.
  bool over() const {
    return !outcome_ || connection_.closed() || torrent_.failure_ ||
           (connection_.retiring && torrent_.requests_.outstanding(connection_.id()) == 0);
  }
  const Result<void>& outcome() const { return outcome_; }
  void end_with(Result<void> outcome) { outcome_ = std::move(outcome); }
  /// The one whose bytes come next.
  std::optional<PiecePayload> take_payload() { return std::exchange(payload_, std::nullopt); }

 private:
  bool on_message(Result<Message> message) override {
    if (!message) {
      outcome_ = propagate(message);
      return false;
    }
    if (const auto* payload = std::get_if<PiecePayload>(&*message)) {
      payload_ = *payload;
      return false;
    }
    outcome_ = torrent_.handle(connection_, *message);
    // A peer that never stops must not have the loop for itself.
    return !over() && ++handled_ % messages_in_a_row != 0;
  }

  Torrent& torrent_;
  Connection& connection_;
  Result<void> outcome_;
  std::optional<PiecePayload> payload_;
  unsigned handled_ = 0;
};

Task<> Torrent::read_loop(std::shared_ptr<Torrent> self, ConnectionPtr connection) {
  Inbox inbox(*self, *connection);
  while (!inbox.over()) {
    co_await connection->stream().read_into(inbox);
    const auto payload = inbox.take_payload();
    if (payload) {
      auto handled = co_await self->on_payload(connection, *payload);
      inbox.end_with(std::move(handled));
    } else if (!inbox.over()) {
      co_await self->context_->clock.sleep(Duration{});
    }
  }
  if (!inbox.outcome()) self->on_read_failure(*connection, inbox.outcome().error());
  self->drop_connection(connection);
}

void Torrent::on_read_failure(Connection& connection, const Error& error) {
  const auto& log = context_->log;
  if (error.code == Errc::no_space || error.code == Errc::io) {
    fail_on_disk(error);
  } else if (error.code == Errc::protocol || error.code == Errc::corrupt) {
    const auto now = context_->clock.now();
    const auto pause = backoff_.fault(connection.id(), now);
    if (error.code == Errc::corrupt) backoff_.ban(connection.id(), connection.address().host);
    note_blacklisted(connection.id(), pause);
    log.write(context_->remarks.allows(connection.address().host, now) ? LogLevel::warn : LogLevel::debug,
              fmt::format("digest={} peer={} dropped: {}", info_->digest().str(), connection.address().str(),
                          error.message));
  } else if (!connection.closed()) {
    log.debug("digest={} peer={} gone: {}", info_->digest().str(), connection.address().str(), error.message);
  }
}

Result<void> Torrent::handle(Connection& connection, const Message& message) {
  if (const auto* request = std::get_if<PieceRequest>(&message)) return on_request(connection, *request);
  if (const auto* announce = std::get_if<AnnouncePiece>(&message)) return on_announce(connection, *announce);
  if (const auto* error = std::get_if<PieceError>(&message)) return on_error(connection, *error);
  if (std::holds_alternative<Complete>(message)) return on_complete(connection);
  if (const auto* report = std::get_if<LoadReport>(&message)) return on_report(connection, *report);
  if (const auto* cancel = std::get_if<CancelPiece>(&message)) return on_cancel(connection, *cancel);
  return useless(connection);
}

Result<void> Torrent::on_cancel(Connection& connection, const CancelPiece& cancel) {
  if (connection.cancel_piece(cancel.index)) return {};
  if (!requests_.erase(connection.id(), cancel.index)) return useless(connection);
  const auto now = context_->clock.now();
  connection.not_before = now + decline_pause * (1U << std::min(connection.declines++, max_doublings));
  if (cancel.load) connection.load.tell(*cancel.load, now);
  release_unless_asked(cancel.index);
  request_more();
  return {};
}

/// Whether a request of that peer is sent back, because too much is to be sent already.
bool Torrent::declines(Connection& connection) const {
  const Load load = context_->backlog.load();
  if (!connection.extended() || load.queued <= most_queued(load.rate)) return false;
  const auto now = context_->clock.now();
  if (!connection.declined_since) connection.declined_since = now;
  return now - *connection.declined_since < longest_declined;
}

Result<void> Torrent::on_report(Connection& connection, const LoadReport& report) {
  const auto now = context_->clock.now();
  const double expected = to_seconds(now - connection.since) * max_reports_a_second;
  if (static_cast<double>(++connection.reports) > max_reports_at_once + expected) return useless(connection);
  connection.load.tell(report.load, now);
  request_announced(connection);
  move_request_to(connection);
  return {};
}

Result<void> Torrent::useless(Connection& connection) {
  const uint64_t most = max_useless + max_useless_of_piece * info_->piece_count();
  if (++connection.useless <= most) return {};
  context_->met(SwarmLimit::useless_messages);
  return fail(Errc::protocol, "more than {} messages that are of no use", most);
}

Result<void> Torrent::on_request(Connection& connection, const PieceRequest& request) {
  if (auto* counted = counts(connection)) ++counted->requests_received;
  const auto refuse = [&](std::string text) { connection.send(PieceError{request.index, std::move(text)}); };
  if (request.index >= info_->piece_count()) {
    refuse(fmt::format("invalid piece index {}: num pieces = {}", request.index, info_->piece_count()));
  } else if (request.offset != 0 || request.length != info_->piece_size(request.index)) {
    refuse("reading / writing chunk of piece not supported");
  } else if (!have_.test(request.index)) {
    refuse("piece not complete");
  } else if (context_->draining) {
    refuse("shutting down");
  } else if (refuse_repeated(connection, request.index)) {
    return {};
  } else if (declines(connection)) {
    context_->met(SwarmLimit::declined_requests);
    connection.send(CancelPiece{request.index, connection.tell_load(context_->clock.now())});
    return {};
  } else if (!connection.send_piece(request.index, context_->clock.now(),
                                    context_->options.sender_buffer_size)) {
    context_->met(SwarmLimit::queued_requests);
    refuse("too many requests");
  } else {
    return {};
  }
  return useless(connection);
}

Result<void> Torrent::on_announce(Connection& connection, const AnnouncePiece& announce) {
  if (announce.index >= info_->piece_count()) {
    return fail(Errc::protocol, "announced piece {} of {}", announce.index, info_->piece_count());
  }
  if (!connection.have().set(announce.index)) return useless(connection);
  picker_.add_piece(announce.index);
  if (announce.load) connection.load.tell(*announce.load, context_->clock.now());
  connection.last_taken = context_->clock.now();
  if (super_seeding()) show(seeder_->took(connection.id(), announce.index, false));
  request_announced(connection);
  move_request_to(connection);
  return {};
}

Result<void> Torrent::on_error(Connection& connection, const PieceError& error) {
  context_->log.debug("digest={} peer={} refused piece {}: {}", info_->digest().str(),
                      connection.address().str(), error.index, error.text);
  if (!requests_.erase(connection.id(), error.index)) return useless(connection);
  ++retries_;
  // It does not have what we believed it had; asking it again would loop.
  if (connection.have().test(error.index)) {
    Bitfield only(info_->piece_count());
    only.set(error.index);
    picker_.remove_peer(only);
    connection.have().clear(error.index);
  }
  release_unless_asked(error.index);
  request_more();
  return {};
}

Result<void> Torrent::on_complete(Connection& connection) {
  if (complete_) {
    connection.close();
    return {};
  }
  if (connection.have().all()) return useless(connection);
  for (PieceIndex index = 0; index < info_->piece_count(); ++index) {
    if (connection.have().set(index)) picker_.add_piece(index);
  }
  request_more();
  return {};
}

Task<Result<void>> Torrent::on_payload(ConnectionPtr connection, PiecePayload payload) {
  const auto index = payload.index;
  const bool known = index < info_->piece_count() && payload.offset == 0;
  const uint64_t size = known ? info_->piece_size(index) : 0;
  const bool portion = connection->extended() && payload.length > 0 && payload.length < size;
  if (!known || (payload.length != size && !portion)) {
    co_return fail(Errc::protocol, "payload of {} bytes at {} for piece {} of {}", payload.length,
                   payload.offset, index, info_->piece_count());
  }
  connection->snubbed = false;
  connection->declines = 0;
  if (payload.load) connection->load.tell(*payload.load, context_->clock.now());
  if (!have_.test(index) && !receiving_.test(index)) co_return co_await store_piece(connection, payload);
  auto drained = co_await drain(connection, payload);
  if (auto* counted = counts(*connection)) ++counted->duplicate_pieces_received;
  requests_.erase(connection->id(), index);
  // Whoever's bytes were kept instead may have failed meanwhile.
  if (!have_.test(index)) release_unless_asked(index);
  request_more();
  co_return drained;
}

/// In portions where the rate is limited: what is not read yet holds up the sender.
Task<Result<uint32_t>> Torrent::receive_limited(Connection& connection, uint64_t offset, uint64_t length,
                                                io::ByteSink* tap) {
  io::Stream& stream = connection.stream();
  if (!context_->ingress.limited()) co_return co_await stream.receive_file(file_, offset, length, tap);
  uint32_t sum = 0;
  for (uint64_t at = 0; at < length; at += io::Bandwidth::quantum) {
    const uint64_t part = std::min(io::Bandwidth::quantum, length - at);
    co_await context_->ingress.acquire(part, readers_ > 0 ? io::Traffic::pull : io::Traffic::preheat);
    auto received = co_await stream.receive_file(file_, offset + at, part, tap);
    if (!received) co_return received;
    sum = crc32_combine(sum, *received, part);
  }
  co_return sum;
}

/// Reads on until the next portion of a piece comes.
Task<Result<PiecePayload>> Torrent::next_portion(ConnectionPtr connection, PieceIndex index, uint64_t at) {
  while (true) {
    auto message = co_await read_message(connection->stream());
    if (!message) co_return propagate(message);
    if (const auto* payload = std::get_if<PiecePayload>(&*message)) {
      const uint64_t left = info_->piece_size(index) - at;
      if (payload->index == index && payload->offset == at && payload->length > 0 &&
          payload->length <= left) {
        if (payload->load) connection->load.tell(*payload->load, context_->clock.now());
        co_return *payload;
      }
      co_return fail(Errc::protocol, "payload of {} bytes at {} of piece {} where piece {} goes on at {}",
                     payload->length, payload->offset, payload->index, index, at);
    }
    auto handled = handle(*connection, *message);
    if (!handled) co_return propagate(handled);
  }
}

/// Swallows a piece that nobody needs any more.
Task<Result<void>> Torrent::drain(ConnectionPtr connection, PiecePayload payload) {
  io::NullSink sink;
  const uint64_t size = info_->piece_size(payload.index);
  for (uint64_t at = 0; at < size;) {
    if (at > 0) {
      auto next = co_await next_portion(connection, payload.index, at);
      if (!next) co_return propagate(next);
      payload = *next;
    }
    for (uint64_t left = payload.length; left > 0;) {
      auto got = co_await connection->stream().receive(sink, left);
      if (!got) co_return propagate(got);
      if (*got == 0) co_return fail(Errc::network, "connection closed in the middle of a piece");
      left -= *got;
    }
    at += payload.length;
  }
  co_return Result<void>{};
}

Task<Result<uint32_t>> Torrent::receive_portions(ConnectionPtr connection, PiecePayload portion,
                                                 io::ByteSink* tap) {
  const PieceIndex index = portion.index;
  const uint64_t begin = info_->piece_offset(index);
  const uint64_t size = info_->piece_size(index);
  uint32_t sum = 0;
  for (uint64_t at = 0; at < size; at += portion.length) {
    if (at > 0) {
      auto next = co_await next_portion(connection, index, at);
      if (!next) co_return propagate(next);
      portion = *next;
    }
    auto received = co_await receive_limited(*connection, begin + at, portion.length, tap);
    if (!received) co_return received;
    sum = crc32_combine(sum, *received, portion.length);
  }
  co_return sum;
}

/// The CRC-32 of what came. A piece that arrives where the hash of the whole stands is hashed on the way,
/// which saves reading it back.
Task<Result<uint32_t>> Torrent::receive_piece(ConnectionPtr connection, PiecePayload first) {
  const PieceIndex index = first.index;
  const auto offset = info_->piece_offset(index);
  const auto size = info_->piece_size(index);
  const auto tap = hasher_.lend(offset);
  Result<uint32_t> sum = 0;
  if (first.length == size)
    sum = co_await receive_limited(*connection, offset, size, tap.get());
  else
    sum = co_await receive_portions(connection, first, tap.get());
  if (!tap) co_return sum;
  if (sum && *sum == info_->piece_sum(index))
    hasher_.adopt(*tap);
  else
    hasher_.give_back();
  co_return sum;
}

/// Receives the bytes of a missing piece into the file and keeps them if they match.
Task<Result<void>> Torrent::store_piece(ConnectionPtr connection, PiecePayload first) {
  const PieceIndex index = first.index;
  receiving_.set(index);
  connection->receiving = true;
  connection->receiving_piece = index;
  connection->receiving_since = context_->clock.now();
  picker_.mark_requested(index);
  auto sum = co_await receive_piece(connection, first);
  connection->receiving = false;
  if (sum && *sum == info_->piece_sum(index)) {
    receiving_.clear(index);
    if (!partial_) co_return fail(Errc::cancelled, "download has ended");
    if (unmarked_.empty()) context_->tasks.spawn(mark_soon(shared_from_this()), "mark pieces");
    unmarked_.push_back(index);
    piece_arrived(*connection, index);
    co_return Result<void>{};
  }
  receiving_.clear(index);
  requests_.erase(connection->id(), index);
  ++retries_;
  release_unless_asked(index);
  // The connection is about to go, so the piece has to be asked for elsewhere right now.
  connection->close();
  request_more();
  if (!sum) co_return propagate(sum);
  co_return fail(Errc::corrupt, "piece {} has sum {:08x} instead of {:08x}", index, *sum,
                 info_->piece_sum(index));
}

void Torrent::piece_arrived(Connection& connection, PieceIndex index) {
  const auto now = context_->clock.now();
  const auto size = info_->piece_size(index);
  have_.set(index);
  picker_.mark_have(index);
  while (have_.test(prefix_)) ++prefix_;
  connection.received += size;
  connection.snubbed = false;
  connection.last_useful = now;
  connection.times.arrived(now);
  context_->budget.arrived(size, now);
  context_->metrics.received.add(size);
  last_piece_ = now;
  if (auto* counted = counts(connection)) ++counted->good_pieces_received;
  context_->events.about_piece("receive_piece", info_->info_hash(), connection.id(), index);
  (connection.origin() ? from_origins_ : from_peers_) += size;
  by_address_[fmt::format("{}/{}", connection.origin() ? "origin" : "peer", connection.address().str())] +=
      size;
  for (const auto& asked : requests_.erase_piece(index)) {
    const auto other = peers_.find(asked);
    if (other != peers_.end() && asked != connection.id()) other->second->send(CancelPiece{index});
  }
  const auto announcement = announcement_of(index);
  for (const auto& [id, peer] : peers_) {
    // An origin that shows only part of what it has wants to know who has what.
    if (peer->origin() ? !peer->have().all() : !peer->have().test(index)) announce(*peer, announcement);
  }
  progress_.notify_all();
  request_in_turn();
}

Torrent::Announcement Torrent::announcement_of(PieceIndex index) const {
  const Load load = context_->backlog.load();
  return {load, context_->clock.now(), encode_frame(AnnouncePiece{index, {}}),
          encode_frame(AnnouncePiece{index, load})};
}

void Torrent::announce(Connection& peer, const Announcement& piece) {
  if (peer.extended()) peer.told(piece.load, piece.at);
  peer.send_frame(peer.extended() ? piece.extended : piece.plain);
}

void Torrent::report_load() {
  const Report load = load_report();
  for (const auto& [id, peer] : peers_) report(*peer, load);
}

Torrent::Report Torrent::load_report() const {
  const Load load = context_->backlog.load();
  const uint64_t soon = context_->backlog.leaves_in(told_again_seconds);
  return {load, context_->clock.now(), std::max(info_->piece_length(), soon), encode_frame(LoadReport{load})};
}

void Torrent::report(Connection& peer, const Report& load) {
  if (!peer.extended() || peer.have().all() || peer.knows_load(load.least, load.at)) return;
  peer.told(load.load, load.at);
  peer.send_frame(load.frame);
}

void Torrent::release_unless_asked(PieceIndex index) {
  if (!requests_.requested(index) && !receiving_.test(index)) picker_.release(index);
}

/// The peer will not answer: what nobody else is asked for becomes free for the others.
void Torrent::release_requests(const PeerId& peer) {
  for (const auto index : requests_.erase_peer(peer)) {
    ++retries_;
    if (!receiving_.test(index)) picker_.release(index);
  }
  settle_budget();
}

}  // namespace krakend::p2p
