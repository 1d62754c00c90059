#include "io/tls_stream.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "io/transfer_step.h"
#include "krakend/core/hash.h"
#include "krakend/core/units.h"

namespace krakend::io {
namespace {

/// Larger writes are encrypted on the pool.
constexpr size_t inline_write_max = 32 * KiB;
/// Read from a file at once: a few records, which stay in the cache of the core.
constexpr size_t copy_chunk = 64 * KiB;
constexpr std::byte handshake_record{0x16};

}  // namespace

TlsStream::TlsStream(Loop& loop, std::shared_ptr<TcpStream> socket, std::shared_ptr<TlsServer> server)
    : loop_(loop), socket_(std::move(socket)), server_(std::move(server)), shaken_(loop) {}

TlsStream::TlsStream(Loop& loop, std::shared_ptr<TcpStream> socket, const std::shared_ptr<TlsClient>& client,
                     std::string_view host)
    : loop_(loop), socket_(std::move(socket)), shaken_(loop) {
  session_key_ = Address{std::string(host), socket_->peer().port}.str();
  auto context = client->context();
  auto ssl = context->connecting(std::string(host), session_key_);
  session_ = std::make_unique<TlsSession>(std::move(context), std::move(ssl), socket_->descriptor());
}

TlsStream::~TlsStream() {
  if (state_ == State::secured && !socket_->is_shut()) session_->say_end();
}

Error TlsStream::failure(const TlsSession::Step& step, const char* what) const {
  if (step.err != 0 || socket_->is_shut()) return socket_->failure(step.err, what);
  return {Errc::protocol, fmt::format("{} {}: TLS: {}", what, peer().str(), step.problem)};
}

Task<Result<void>> TlsStream::wait(Want want) {
  co_return co_await socket_->wait(want == Want::write ? Direction::write : Direction::read);
}

/// Waits for the first byte of an accepted connection and looks at it without taking it.
Task<Result<void>> TlsStream::expect_hello() {
  std::byte first{};
  while (true) {
    const ssize_t got = ::recv(socket_->descriptor(), &first, 1, MSG_PEEK);
    const int err = errno;
    if (got == 1) break;
    if (got == 0)
      co_return fail(Errc::network, "{} closed the connection before the TLS handshake", peer().str());
    if (err == EINTR) continue;
    if (err != EAGAIN && err != EWOULDBLOCK) co_return fail(socket_->failure(err, "read from"));
    auto ready = co_await wait(Want::read);
    if (!ready) co_return ready;
  }
  if (first == handshake_record) co_return Result<void>{};
  state_ = State::clear;
  co_return fail(Errc::protocol, "{} does not speak TLS", peer().str());
}

Task<Result<void>> TlsStream::shake_hands() {
  const bool accepting = session_key_.empty();
  if (!session_) {
    auto hello = co_await expect_hello();
    if (!hello) co_return hello;
    // The material of this moment, not of the time when the connection was accepted.
    auto context = std::exchange(server_, nullptr)->context();
    auto ssl = context->accepting();
    session_ = std::make_unique<TlsSession>(std::move(context), std::move(ssl), socket_->descriptor());
  }
  bool cheap = false;
  while (true) {
    // Keys and signatures take a pool thread for up to some milliseconds.
    TlsSession::Step step;
    if (cheap) {
      step = session_->handshake();
    } else {
      step = co_await loop_.offload([this] { return session_->handshake(); });
    }
    // What is left then of accepting is one checksum.
    cheap = accepting && session_->resumed();
    if (step.failed()) co_return fail(failure(step, "handshake with"));
    if (step.end)
      co_return fail(Errc::network, "{} closed the connection in the TLS handshake", peer().str());
    if (step.want == Want::nothing) co_return Result<void>{};
    auto ready = co_await wait(step.want);
    if (!ready) co_return ready;
  }
}

Task<Result<PeerSecurity>> TlsStream::handshake() {
  const auto self = shared_from_this();
  while (state_ == State::shaking) co_await shaken_.wait();
  if (state_ == State::new_connection) {
    /// A task that is stopped in the middle leaves the handshake to whoever waits for it.
    struct Shaking {
      TlsStream& stream;
      ~Shaking() {
        if (stream.state_ == State::shaking) stream.state_ = State::new_connection;
        stream.shaken_.notify_all();
      }
    } const shaking{*this};
    state_ = State::shaking;
    auto shaken = co_await shake_hands();
    if (shaken) {
      state_ = State::secured;
    } else {
      failed_ = shaken.error();
      if (state_ == State::shaking) state_ = State::failed;
    }
  }
  if (failed_) co_return fail(*failed_);
  co_return session_->security();
}

Task<Result<bool>> TlsStream::secured() {
  if (state_ == State::secured) co_return true;
  auto shaken = co_await handshake();
  if (shaken) co_return true;
  if (state_ == State::clear) co_return false;
  co_return propagate(shaken);
}

Task<Result<size_t>> TlsStream::read_some(std::span<std::byte> out) {
  const auto self = shared_from_this();
  auto safe = co_await secured();
  if (!safe) co_return propagate(safe);
  if (!*safe) co_return co_await socket_->read_some(out);
  while (true) {
    const auto step = session_->read(out);
    // The end that shutdown() makes is not the other side's.
    if (step.failed() || socket_->is_shut()) co_return fail(failure(step, "read from"));
    received_.fetch_add(step.moved, std::memory_order_relaxed);
    if (step.moved > 0 || step.end) co_return step.moved;
    auto ready = co_await wait(step.want);
    if (!ready) co_return propagate(ready);
  }
}

/// Encrypts and sends until the socket is full.
TlsStream::Progress TlsStream::write_step(std::span<const std::byte> data) {
  Progress progress;
  while (!data.empty()) {
    const auto step = session_->write(data);
    progress.moved += step.moved;
    sent_.fetch_add(step.moved, std::memory_order_relaxed);
    data = data.subspan(step.moved);
    if (step.failed() || socket_->is_shut()) progress.error = failure(step, "write to");
    progress.want = step.want;
    if (progress.error || step.want != Want::nothing) break;
  }
  return progress;
}

Task<Result<void>> TlsStream::write_all(std::span<const std::byte> data) {
  while (!data.empty()) {
    Progress progress;
    if (data.size() <= inline_write_max) {
      progress = write_step(data);
    } else {
      const auto part = data.first(std::min<size_t>(data.size(), step_quota));
      progress = co_await loop_.offload([&, this] { return write_step(part); });
    }
    data = data.subspan(progress.moved);
    if (progress.error) co_return fail(std::move(*progress.error));
    if (progress.want == Want::nothing) continue;
    auto ready = co_await wait(progress.want);
    if (!ready) co_return ready;
  }
  co_return Result<void>{};
}

Task<Result<void>> TlsStream::write(std::span<const std::byte> data, bool more) {
  const auto self = shared_from_this();
  auto safe = co_await secured();
  if (!safe) co_return propagate(safe);
  if (!*safe) co_return co_await socket_->write(data, more);
  if (socket_->is_shut()) co_return fail(socket_->failure(ECANCELED, "write to"));
  co_return co_await write_all(data);
}

/// Pool: reads until nothing is there, the quota is used up or `max` is reached.
TlsStream::Progress TlsStream::receive_step(ByteSink& sink, uint64_t max) {
  Progress progress;
  const auto buffer = thread_buffer();
  const uint64_t limit = std::min(max, step_quota);
  while (progress.moved < limit && progress.want == Want::nothing && !progress.end && !progress.error) {
    // A record is small for a sink: what is there is put together first.
    const auto room =
        buffer.first(static_cast<size_t>(std::min<uint64_t>(buffer.size(), limit - progress.moved)));
    size_t filled = 0;
    while (filled < room.size()) {
      const auto step = session_->read(room.subspan(filled));
      if (step.failed() || socket_->is_shut()) progress.error = failure(step, "read from");
      progress.end = step.end;
      progress.want = step.want;
      filled += step.moved;
      if (step.moved == 0) break;
    }
    progress.moved += filled;
    received_.fetch_add(filled, std::memory_order_relaxed);
    if (filled == 0) break;
    if (auto written = sink.write(room.first(filled)); !written) progress.error = std::move(written.error());
  }
  return progress;
}

Task<Result<uint64_t>> TlsStream::receive(ByteSink& sink, uint64_t max) {
  const auto self = shared_from_this();
  auto safe = co_await secured();
  if (!safe) co_return propagate(safe);
  if (!*safe) co_return co_await socket_->receive(sink, max);
  auto want = session_->pending() ? Want::nothing : Want::read;
  while (true) {
    if (want != Want::nothing) {
      auto ready = co_await wait(want);
      if (!ready) co_return propagate(ready);
    }
    auto progress = co_await loop_.offload([&, this] { return receive_step(sink, max); });
    if (progress.error) co_return fail(std::move(*progress.error));
    if (progress.moved > 0 || progress.end) co_return progress.moved;
    want = progress.want;
  }
}

Task<Result<uint32_t>> TlsStream::receive_file(FilePtr file, uint64_t offset, uint64_t length,
                                               ByteSink* tap) {
  const auto self = shared_from_this();
  auto safe = co_await secured();
  if (!safe) co_return propagate(safe);
  if (!*safe) co_return co_await socket_->receive_file(std::move(file), offset, length, tap);
  FileSink sink(std::move(file), offset, tap);
  auto want = session_->pending() ? Want::nothing : Want::read;
  while (length > 0) {
    if (want != Want::nothing) {
      auto ready = co_await wait(want);
      if (!ready) co_return propagate(ready);
    }
    auto progress = co_await loop_.offload([&, this] { return receive_step(sink, length); });
    length -= progress.moved;
    if (progress.error) co_return fail(std::move(*progress.error));
    if (progress.end && length > 0)
      co_return fail(Errc::network, "{} closed the connection in the middle of a transfer", peer().str());
    want = progress.want;
  }
  co_return sink.sum();
}

/// Pool: from the file through the buffer of the thread, until the socket is full or the quota is used up.
/// What was read in vain is read again: the session keeps a record that it could not send, and takes the same
/// bytes for it.
TlsStream::Progress TlsStream::copy_step(File& file, uint64_t offset, uint64_t length) {
  Progress progress;
  const auto buffer = thread_buffer().first(copy_chunk);
  const uint64_t limit = std::min(length, step_quota);
  while (progress.moved < limit) {
    const auto at = offset + progress.moved;
    auto got = file.read_at(
        at, buffer.first(static_cast<size_t>(std::min<uint64_t>(copy_chunk, limit - progress.moved))));
    if (!got) {
      progress.error = std::move(got.error());
      return progress;
    }
    if (*got == 0) {
      progress.error = Error{Errc::io, fmt::format("send to {}: file ends at byte {}", peer().str(), at)};
      return progress;
    }
    auto written = write_step(buffer.first(*got));
    progress.moved += written.moved;
    progress.want = written.want;
    progress.error = std::move(written.error);
    if (progress.error || progress.want != Want::nothing) return progress;
  }
  return progress;
}

/// Pool: the kernel encrypts what it sends from the file.
TlsStream::Progress TlsStream::send_step(File& file, uint64_t offset, uint64_t length) {
  if (!session_->kernel_encrypts() || file.descriptor() < 0) return copy_step(file, offset, length);
  Progress progress;
  const uint64_t limit = std::min(length, step_quota);
  while (progress.moved < limit && progress.want == Want::nothing && !progress.error) {
    const auto at = offset + progress.moved;
    const auto step = session_->send_file(file.descriptor(), at, static_cast<size_t>(limit - progress.moved));
    progress.moved += step.moved;
    sent_.fetch_add(step.moved, std::memory_order_relaxed);
    progress.want = step.want;
    if (step.failed() || socket_->is_shut()) {
      progress.error = failure(step, "send to");
    } else if (step.moved == 0 && step.want == Want::nothing) {
      progress.error = Error{Errc::io, fmt::format("send to {}: file ends at byte {}", peer().str(), at)};
    }
  }
  return progress;
}

Task<Result<void>> TlsStream::send_file(FilePtr file, uint64_t offset, uint64_t length) {
  const auto self = shared_from_this();
  auto safe = co_await secured();
  if (!safe) co_return propagate(safe);
  if (!*safe) co_return co_await socket_->send_file(std::move(file), offset, length);
  if (socket_->is_shut()) co_return fail(socket_->failure(ECANCELED, "send to"));
  while (length > 0) {
    auto progress = co_await loop_.offload([&, this] { return send_step(*file, offset, length); });
    offset += progress.moved;
    length -= progress.moved;
    if (progress.error) co_return fail(std::move(*progress.error));
    if (length == 0 || progress.want == Want::nothing) continue;
    auto ready = co_await wait(progress.want);
    if (!ready) co_return propagate(ready);
  }
  co_return Result<void>{};
}

void TlsStream::shutdown() noexcept {
  if (state_ == State::secured && !socket_->is_shut()) session_->say_end();
  socket_->shutdown();
}

uint64_t TlsStream::bytes_received() const {
  return state_ == State::clear ? socket_->bytes_received() : received_.load(std::memory_order_relaxed);
}

uint64_t TlsStream::bytes_sent() const {
  return state_ == State::clear ? socket_->bytes_sent() : sent_.load(std::memory_order_relaxed);
}

}  // namespace krakend::io
