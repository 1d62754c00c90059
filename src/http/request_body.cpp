#include "http/request_body.h"

#include <algorithm>

#include "http/chunked.h"
#include "http/linger.h"
#include "krakend/core/hex.h"

namespace krakend::http {

ConnectionBody::ConnectionBody(io::Loop& loop, io::Clock& clock, io::StreamPtr stream, std::string& buffer,
                               const ParsedHead& head, Duration timeout, uint64_t max_body)
    : loop_(loop),
      clock_(clock),
      stream_(std::move(stream)),
      buffer_(buffer),
      timeout_(timeout),
      max_body_(max_body),
      chunked_(head.chunked),
      expects_continue_(head.expects_continue),
      total_(head.content_length),
      left_(head.content_length),
      finished_(!head.chunked && head.content_length == 0) {}

std::optional<uint64_t> ConnectionBody::length() const {
  return chunked_ ? std::nullopt : std::optional(total_);
}

Task<Result<uint64_t>> ConnectionBody::read_to(io::ByteSink& sink, uint64_t limit) {
  if (finished_) co_return 0;
  if (broken_) co_return fail(Errc::network, "the request body could not be read before");
  limit = std::min(limit, max_body_);
  if (!chunked_ && left_ > limit)
    co_return fail(Errc::too_large, "request body of {} bytes exceeds {}", total_, limit);
  auto ready = co_await send_continue();
  if (!ready) co_return propagate(ready);
  Result<uint64_t> read = 0;
  if (chunked_)
    read = co_await read_chunked(sink, limit);
  else
    read = co_await read_sized(sink, limit);
  if (read)
    finished_ = true;
  else
    broken_ = true;
  timed_out_ = !read && read.error().code == Errc::timeout;
  co_return read;
}

Task<Result<void>> ConnectionBody::send_continue() {
  if (!std::exchange(expects_continue_, false) || !buffer_.empty()) co_return Result<void>{};
  co_return co_await stream_->write(as_bytes("HTTP/1.1 100 Continue\r\n\r\n"));
}

/// One batch from the buffer or the socket.
Task<Result<uint64_t>> ConnectionBody::receive(io::ByteSink& sink, uint64_t max) {
  if (!buffer_.empty()) {
    const auto part = buffer_.substr(0, static_cast<size_t>(std::min<uint64_t>(buffer_.size(), max)));
    buffer_.erase(0, part.size());
    auto written = co_await loop_.offload([&] { return sink.write(as_bytes(part)); });
    if (!written) co_return propagate(written);
    co_return part.size();
  }
  auto got = co_await stream_->receive(sink, max);
  if (got && *got == 0)
    co_return fail(Errc::network, "{} closed the connection in the middle of a body", stream_->peer().str());
  co_return got;
}

Task<Result<uint64_t>> ConnectionBody::read_sized(io::ByteSink& sink, uint64_t /*limit*/) {
  ProgressWatch watch(clock_, stream_, timeout_);
  uint64_t read = 0;
  while (left_ > 0) {
    stream_->expect(left_);
    auto got = co_await receive(sink, left_);
    if (!got && watch.expired())
      co_return fail(Errc::timeout, "no byte of the body for {} s", to_seconds(timeout_));
    if (!got) co_return got;
    left_ -= *got;
    read += *got;
  }
  co_return read;
}

Task<Result<uint64_t>> ConnectionBody::read_chunked(io::ByteSink& sink, uint64_t limit) {
  ProgressWatch watch(clock_, stream_, timeout_);
  ChunkDecoder decoder(sink, limit);
  while (!decoder.done()) {
    auto got = co_await receive(decoder, ~uint64_t{0});
    if (!got && watch.expired())
      co_return fail(Errc::timeout, "no byte of the body for {} s", to_seconds(timeout_));
    if (!got) co_return got;
  }
  buffer_.insert(0, decoder.surplus());
  co_return decoder.decoded();
}

Task<bool> ConnectionBody::drain() {
  if (finished_) co_return true;
  // A client that still waits for 100 Continue may send its body or not: only a new connection is
  // unambiguous.
  if (broken_ || expects_continue_ || (!chunked_ && left_ > drain_limit)) co_return false;
  io::NullSink sink;
  auto read = co_await read_to(sink, drain_limit);
  co_return read.has_value();
}

}  // namespace krakend::http
