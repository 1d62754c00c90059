#include "p2p/connection.h"

#include <algorithm>
#include <utility>

#include "krakend/core/hex.h"

namespace krakend::p2p {

Connection::Connection(io::Loop& loop, Backlog& backlog, std::shared_ptr<const MetaInfo> info,
                       io::StreamPtr stream, Handshake peer, const std::optional<Load>& told, bool origin,
                       bool opener, TimePoint now)
    : origin_(origin),
      opener_(opener),
      extended_(peer.extension >= 1),
      have_(std::move(peer.have)),
      id_(peer.peer_id),
      stream_(std::move(stream)),
      since(now),
      last_progress(now),
      last_useful(now),
      last_taken(now),
      backlog_(backlog),
      info_(std::move(info)),
      wake_(loop) {
  stream_->limit_backlog(socket_backlog_);
  this->told(told.value_or(Load{}), now);
  if (peer.load) load.tell(*peer.load, now);
}

Connection::~Connection() {
  if (!halted_) backlog_.dropped(to_send_);
}

void Connection::forget(PieceIndex index) {
  const uint64_t size = info_->piece_size(index);
  to_send_ -= size;
  if (!halted_) backlog_.dropped(size);
}

bool Connection::knows_load(uint64_t least, TimePoint now) const {
  const uint64_t queued = backlog_.load().queued;
  const uint64_t reckoned = told_load_.queued(now).value_or(0);
  return std::max(queued, reckoned) - std::min(queued, reckoned) < least;
}

void Connection::look_for_halt(TimePoint now) {
  const uint64_t taken = stream_->bytes_sent() - seen_sent_;
  seen_sent_ += taken;
  const uint64_t usual = std::max<uint64_t>(1, backlog_.leaves_in(taken_seconds_at_least));
  const bool waited_for = sending_since && now - *sending_since >= UploadTurns::long_transfer;
  set_halted(waited_for && taken < std::min(taken_at_least, usual));
}

void Connection::set_halted(bool halted) {
  if (std::exchange(halted_, halted) == halted) return;
  if (halted)
    backlog_.dropped(to_send_);
  else
    backlog_.asked_for(to_send_);
}

void Connection::send(const Message& message) {
  send_frame(encode_frame(message));
}

void Connection::send_frame(const std::string& frame) {
  if (closed_) return;
  const bool first = control_.empty() && !writing_;
  const size_t written = first ? stream_->write_now(as_bytes(frame)) : 0;
  if (written == frame.size()) return;
  control_.append(frame, written);
  if (control_.size() > max_queued_control) close();
  wake_.notify_all();
}

bool Connection::send_piece(PieceIndex index, TimePoint now, size_t most) {
  if (pieces_.size() >= most) return false;
  pieces_.push_back({index, now});
  to_send_ += info_->piece_size(index);
  if (!halted_) backlog_.asked_for(info_->piece_size(index));
  wake_.notify_all();
  return true;
}

bool Connection::asks_for(PieceIndex index) const {
  return std::any_of(pieces_.begin(), pieces_.end(),
                     [&](const Asked& asked) { return asked.piece == index; });
}

bool Connection::cancel_piece(PieceIndex index) {
  const auto taken_back = std::erase_if(pieces_, [&](const Asked& asked) {
    if (asked.piece != index) return false;
    forget(index);
    return true;
  });
  return taken_back > 0;
}

void Connection::close() {
  if (closed_) return;
  closed_ = true;
  stream_->shutdown();
  wake_.notify_all();
}

Task<> Connection::write_loop(std::shared_ptr<Connection> self, Payload payload) {
  while (!self->closed_) {
    self->writing_ = false;
    if (!self->control_.empty()) {
      self->writing_ = true;
      if (!co_await self->write_control()) break;
    } else if (!self->pieces_.empty()) {
      const auto turn = co_await self->wait_for_turn(*payload.turns, *payload.clock);
      if (!turn) continue;
      self->writing_ = true;
      const auto index = self->pieces_.front().piece;
      self->pieces_.pop_front();
      const bool good = co_await payload.may_send(index);
      if (!good) break;
      self->sending_since = payload.clock->now();
      if (!co_await self->write_piece(index, payload)) break;
      self->sent += self->info_->piece_size(index);
      payload.sent(index);
      self->sending_since.reset();
    } else {
      co_await self->wake_.wait();
    }
  }
  self->close();
}

/// Who has nothing yet comes before all others: its link out lies idle until it has something to pass on.
/// What was sent counts as something, so a peer has this only once a connection.
TimePoint Connection::place_in_line() const {
  return have_.none() ? UploadTurns::newcomer : pieces_.front().at;
}

Task<std::optional<UploadTurns::Turn>> Connection::wait_for_turn(UploadTurns& turns, io::Clock& clock) {
  UploadTurns::Place place(turns, place_in_line(), wake_);
  while (!closed_ && !pieces_.empty() && control_.empty()) {
    if (auto turn = place.take()) co_return turn;
    if (!std::exchange(pieces_.front().waited, true)) turns.count_wait();
    co_await wake_.wait_for(clock, UploadTurns::look_again);
  }
  co_return std::nullopt;
}

Task<bool> Connection::write_control() {
  const auto frames = std::move(control_);
  control_.clear();
  auto written = co_await stream_->write(as_bytes(frames));
  co_return written.has_value();
}

/// A system call, so only for what makes a difference.
void Connection::fit_socket_backlog() {
  const auto wanted = std::max(least_backlog, backlog_.leaves_in(socket_backlog_seconds));
  if (wanted <= 2 * socket_backlog_ && socket_backlog_ <= 2 * wanted) return;
  socket_backlog_ = wanted;
  stream_->limit_backlog(wanted);
}

Task<bool> Connection::write_piece(PieceIndex index, const Payload& payload) {
  const uint64_t length = info_->piece_size(index);
  const uint64_t most = extended() ? std::max(least_portion, backlog_.leaves_in(portion_seconds)) : length;
  fit_socket_backlog();
  for (uint64_t at = 0; at < length; at += most) {
    if (at > 0 && !control_.empty()) {
      if (!co_await write_control()) co_return false;
    }
    PiecePayload header;
    header.index = index;
    header.offset = static_cast<uint32_t>(at);
    header.length = static_cast<uint32_t>(std::min(most, length - at));
    if (extended()) header.load = tell_load(payload.clock->now());
    if (!co_await write_portion(header, payload)) co_return false;
    set_halted(false);
    to_send_ -= header.length;
    backlog_.sent(header.length, payload.clock->now());
  }
  co_return true;
}

Task<bool> Connection::write_portion(PiecePayload header, const Payload& payload) {
  const auto frame = encode_frame(header);
  auto written = co_await stream_->write(as_bytes(frame), true);
  if (!written) co_return false;
  const uint64_t begin = info_->piece_offset(header.index) + header.offset;
  const uint64_t step = payload.egress->limited() ? io::Bandwidth::quantum : header.length;
  for (uint64_t at = 0; written && at < header.length; at += step) {
    const uint64_t part = std::min(step, header.length - at);
    co_await payload.egress->acquire(part, io::Traffic::seeding);
    written = co_await stream_->send_file(payload.file, begin + at, part);
  }
  co_return written.has_value();
}

}  // namespace krakend::p2p
