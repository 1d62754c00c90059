#include "p2p/connection.h"

#include <algorithm>

#include "krakend/core/hex.h"

namespace krakend::p2p {

Connection::Connection(io::Loop& loop, io::StreamPtr stream, Handshake peer, bool origin, bool opener,
                       TimePoint now)
    : since(now),
      last_progress(now),
      last_useful(now),
      last_taken(now),
      stream_(std::move(stream)),
      peer_(std::move(peer)),
      origin_(origin),
      opener_(opener),
      wake_(loop) {}

void Connection::send(const Message& message) {
  if (closed_) return;
  control_ += encode_frame(message);
  if (control_.size() > max_queued_control) close();
  wake_.notify_all();
}

bool Connection::send_piece(PieceIndex index, TimePoint now, size_t most) {
  if (pieces_.size() >= most) return false;
  pieces_.push_back({index, now});
  wake_.notify_all();
  return true;
}

bool Connection::cancel_piece(PieceIndex index) {
  return std::erase_if(pieces_, [index](const Asked& asked) { return asked.piece == index; }) > 0;
}

void Connection::close() {
  if (closed_) return;
  closed_ = true;
  stream_->shutdown();
  wake_.notify_all();
}

Task<> Connection::write_loop(std::shared_ptr<Connection> self, Payload payload) {
  while (!self->closed_) {
    if (!self->control_.empty()) {
      if (!co_await self->write_control()) break;
    } else if (!self->pieces_.empty()) {
      const auto turn = co_await payload.turns->take(self->pieces_.front().at);
      // Cancelled, or something more urgent to say, while it waited.
      if (self->closed_ || self->pieces_.empty() || !self->control_.empty()) continue;
      const auto index = self->pieces_.front().piece;
      self->pieces_.pop_front();
      const bool good = co_await payload.may_send(index);
      if (!good) break;
      if (!co_await self->write_piece(index, payload)) break;
      self->sent += payload.info->piece_size(index);
      payload.sent(index);
    } else {
      co_await self->wake_.wait();
    }
  }
  self->close();
}

Task<bool> Connection::write_control() {
  const auto frames = std::move(control_);
  control_.clear();
  auto written = co_await stream_->write(as_bytes(frames));
  co_return written.has_value();
}

Task<bool> Connection::write_piece(PieceIndex index, const Payload& payload) {
  const MetaInfo& info = *payload.info;
  const auto length = info.piece_size(index);
  const auto header = encode_frame(PiecePayload{index, 0, static_cast<uint32_t>(length)});
  auto written = co_await stream_->write(as_bytes(header), true);
  if (!written) co_return false;
  const uint64_t begin = info.piece_offset(index);
  const uint64_t step = payload.egress->limited() ? Bandwidth::quantum : length;
  for (uint64_t at = 0; written && at < length; at += step) {
    const uint64_t part = std::min(step, length - at);
    co_await payload.egress->acquire(part);
    written = co_await stream_->send_file(payload.file, begin + at, part);
  }
  co_return written.has_value();
}

}  // namespace krakend::p2p
