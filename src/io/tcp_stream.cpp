#include "io/tcp_stream.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <utility>

#include "io/transfer_step.h"
#include "krakend/core/units.h"

namespace krakend::io {
namespace {

/// Bytes; a dozen messages of the peers' protocol.
constexpr size_t look_ahead = 512;
/// The loop is woken per batch of this size while the end of a transfer is further away.
constexpr uint64_t low_water_max = 256 * KiB;

bool would_block(int err) {
  return err == EAGAIN || err == EWOULDBLOCK;
}

}  // namespace

TcpStream::TcpStream(Loop& loop, Descriptor fd)
    : loop_(loop),
      descriptor_(std::move(fd)),
      watch_(loop, descriptor()),
      peer_(peer_address(descriptor())),
      local_(local_address(descriptor())) {}

Result<StreamPtr> TcpStream::make(Loop& loop, Descriptor fd) {
  auto stream = std::make_shared<TcpStream>(loop, std::move(fd));
  if (const int err = stream->watch_.failed(); err != 0)
    return fail(errno_error(err, fmt::format("watch connection {}", stream->peer_.str())));
  return StreamPtr(std::move(stream));
}

Error TcpStream::failure(int err, const char* what) const {
  if (shut_) return Error{Errc::cancelled, fmt::format("{} {}: connection was shut down", what, peer_.str())};
  auto error = errno_error(err, fmt::format("{} {}", what, peer_.str()));
  if (error.code != Errc::timeout) error.code = Errc::network;
  return error;
}

Task<Result<void>> TcpStream::wait(Direction direction) {
  // shutdown() has cancelled the waits there were; a new one would only end by luck.
  if (shut_) co_return fail(failure(ECANCELED, "wait for"));
  co_await watch_.wait(direction);
  if (shut_) co_return fail(failure(ECANCELED, "wait for"));
  co_return Result<void>{};
}

Task<Result<size_t>> TcpStream::read_some(std::span<std::byte> out) {
  const auto self = shared_from_this();
  while (true) {
    if (auto got = read_now(out)) co_return std::move(*got);
    auto ready = co_await wait(Direction::read);
    if (!ready) co_return propagate(ready);
  }
}

Task<> TcpStream::read_into(Reader& reader) {
  const auto self = shared_from_this();
  while (true) {
    const auto next = feed(reader);
    if (next == Feed::done) co_return;
    if (next == Feed::on) continue;
    auto ready = co_await wait(Direction::read);
    if (ready) continue;
    (void)reader.took(propagate(ready));
    co_return;
  }
}

/// Messages are small and come in bunches: a look at what is there, without taking it, and one call to take
/// what the reader wanted, instead of two calls for each message.
TcpStream::Feed TcpStream::feed(Reader& reader) {
  std::array<std::byte, look_ahead> seen;
  if (const auto space = reader.space(); space.size() >= seen.size()) {
    auto got = read_now(space);
    if (!got) return Feed::wait;
    return reader.took(std::move(*got)) ? Feed::on : Feed::done;
  }
  auto there = receive_now(seen, MSG_PEEK);
  if (!there) return Feed::wait;
  if (!*there || **there == 0) return reader.took(std::move(*there)) ? Feed::on : Feed::done;
  size_t taken = 0;
  bool more = true;
  while (more && taken < **there) {
    const auto space = reader.space();
    const auto part = std::span(seen).first(**there).subspan(taken, std::min(space.size(), **there - taken));
    std::copy(part.begin(), part.end(), space.begin());
    taken += part.size();
    more = reader.took(part.size());
  }
  take_out(taken);
  if (!more) return Feed::done;
  return **there < seen.size() ? Feed::wait : Feed::on;
}

/// Bytes that have been looked at.
void TcpStream::take_out(size_t count) {
  received_.fetch_add(count, std::memory_order_relaxed);
  while (count > 0) {
    const ssize_t got = ::recv(descriptor(), nullptr, count, MSG_TRUNC);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return;  // the reader has shut it down
    count -= static_cast<size_t>(got);
  }
}

std::optional<Result<size_t>> TcpStream::read_now(std::span<std::byte> out) {
  auto got = receive_now(out, 0);
  if (got && *got) received_.fetch_add(**got, std::memory_order_relaxed);
  return got;
}

std::optional<Result<size_t>> TcpStream::receive_now(std::span<std::byte> out, int flags) {
  set_low_water(1);
  while (true) {
    const ssize_t got = ::recv(descriptor(), out.data(), out.size(), flags);
    // The end that shutdown() makes is not the other side's.
    if (shut_) return fail(failure(ECANCELED, "read from"));
    if (got >= 0) return static_cast<size_t>(got);
    if (would_block(errno)) return std::nullopt;
    if (errno != EINTR) return fail(failure(errno, "read from"));
  }
}

Task<Result<void>> TcpStream::write(std::span<const std::byte> data, bool more) {
  const auto self = shared_from_this();
  if (shut_) co_return fail(failure(ECANCELED, "write to"));
  while (!data.empty()) {
    const ssize_t put = ::send(descriptor(), data.data(), data.size(), MSG_NOSIGNAL | (more ? MSG_MORE : 0));
    if (put >= 0) {
      sent_.fetch_add(static_cast<uint64_t>(put), std::memory_order_relaxed);
      data = data.subspan(static_cast<size_t>(put));
    } else if (would_block(errno)) {
      auto ready = co_await wait(Direction::write);
      if (!ready) co_return propagate(ready);
    } else if (errno != EINTR) {
      co_return fail(failure(errno, "write to"));
    }
  }
  co_return Result<void>{};
}

size_t TcpStream::write_now(std::span<const std::byte> data) {
  if (shut_) return 0;
  const ssize_t put = ::send(descriptor(), data.data(), data.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (put <= 0) return 0;
  sent_.fetch_add(static_cast<uint64_t>(put), std::memory_order_relaxed);
  return static_cast<size_t>(put);
}

/// Pool: reads until nothing is there, the quota is used up or `max` is reached.
TcpStream::Step TcpStream::receive_step(ByteSink& sink, uint64_t max) {
  Step step;
  const auto buffer = thread_buffer();
  const uint64_t limit = std::min(max, step_quota);
  while (step.moved < limit) {
    const auto want = static_cast<size_t>(std::min<uint64_t>(buffer.size(), limit - step.moved));
    const ssize_t got = ::recv(descriptor(), buffer.data(), want, 0);
    if (got == 0) {
      // The end that shutdown() makes is not the other side's.
      if (shut_)
        step.error = failure(ECANCELED, "read from");
      else
        step.end = true;
      break;
    }
    if (got < 0) {
      if (errno == EINTR) continue;
      if (would_block(errno))
        step.would_block = true;
      else
        step.error = failure(errno, "read from");
      break;
    }
    step.moved += static_cast<uint64_t>(got);
    received_.fetch_add(static_cast<uint64_t>(got), std::memory_order_relaxed);
    if (auto written = sink.write(buffer.first(static_cast<size_t>(got))); !written) {
      step.error = std::move(written.error());
      break;
    }
    // A short read means that the socket is empty: ask the loop to wait instead of the kernel to refuse.
    if (static_cast<size_t>(got) < want) {
      step.would_block = true;
      break;
    }
  }
  return step;
}

void TcpStream::limit_backlog(uint64_t bytes) {
  set_option(descriptor(), IPPROTO_TCP, TCP_NOTSENT_LOWAT, static_cast<int>(bytes));
}

uint64_t TcpStream::bytes_received() const {
  int waiting = 0;
  if (low_water_ > 1 && ::ioctl(descriptor(), SIOCINQ, &waiting) != 0) waiting = 0;
  return received_.load(std::memory_order_relaxed) + static_cast<uint64_t>(waiting);
}

/// How many bytes must have arrived before a waiting read is woken. Never more than are sure to come.
void TcpStream::set_low_water(uint64_t bytes) {
  bytes = std::clamp<uint64_t>(bytes, 1, low_water_max);
  if (bytes == low_water_) return;
  low_water_ = bytes;
  set_option(descriptor(), SOL_SOCKET, SO_RCVLOWAT, static_cast<int>(bytes));
}

Task<Result<uint64_t>> TcpStream::receive(ByteSink& sink, uint64_t max) {
  const auto self = shared_from_this();
  // Small bodies are not worth the system call.
  set_low_water(std::exchange(expected_, 0) >= low_water_max ? low_water_max : 1);
  auto ready = co_await wait(Direction::read);
  if (!ready) co_return propagate(ready);
  while (true) {
    auto step = co_await loop_.offload([&, this] { return receive_step(sink, max); });
    if (step.error) co_return fail(std::move(*step.error));
    if (step.moved > 0 || step.end) co_return step.moved;
    ready = co_await wait(Direction::read);
    if (!ready) co_return propagate(ready);
  }
}

Task<Result<uint32_t>> TcpStream::receive_file(FilePtr file, uint64_t offset, uint64_t length,
                                               ByteSink* tap) {
  const auto self = shared_from_this();
  FileSink sink(std::move(file), offset, tap);
  bool wait_first = true;
  while (length > 0) {
    if (wait_first) {
      set_low_water(length);
      auto ready = co_await wait(Direction::read);
      if (!ready) co_return propagate(ready);
    }
    auto step = co_await loop_.offload([&, this] { return receive_step(sink, length); });
    length -= step.moved;
    if (step.error) co_return fail(std::move(*step.error));
    if (step.end)
      co_return fail(Errc::network, "{} closed the connection in the middle of a transfer", peer_.str());
    wait_first = step.would_block;
  }
  co_return sink.sum();
}

/// Pool: one system call's worth from file to socket, by copy where the file has no descriptor.
ssize_t TcpStream::send_some(File& file, uint64_t offset, size_t length, std::optional<Error>& error) {
  if (file.descriptor() >= 0) {
    auto position = static_cast<off_t>(offset);
    return ::sendfile(descriptor(), file.descriptor(), &position, length);
  }
  const auto buffer = thread_buffer();
  auto got = file.read_at(offset, buffer.first(std::min(length, buffer.size())));
  if (!got) {
    error = std::move(got.error());
    return -1;
  }
  return *got == 0 ? 0 : ::send(descriptor(), buffer.data(), *got, MSG_NOSIGNAL);
}

/// Pool: sends until the socket is full or the quota is used up.
TcpStream::Step TcpStream::send_step(File& file, uint64_t offset, uint64_t length) {
  Step step;
  const uint64_t limit = std::min(length, step_quota);
  while (step.moved < limit) {
    const ssize_t put =
        send_some(file, offset + step.moved, static_cast<size_t>(limit - step.moved), step.error);
    if (put > 0) {
      step.moved += static_cast<uint64_t>(put);
      sent_.fetch_add(static_cast<uint64_t>(put), std::memory_order_relaxed);
    } else if (put == 0) {
      step.error =
          Error{Errc::io, fmt::format("send to {}: file ends at byte {}", peer_.str(), offset + step.moved)};
    } else if (!step.error && would_block(errno)) {
      step.would_block = true;
    } else if (!step.error && errno != EINTR) {
      // EIO is the disk's; everything else is about the connection.
      step.error = errno == EIO ? errno_error(EIO, "read for sending") : failure(errno, "send to");
    }
    if (step.error || step.would_block) break;
  }
  return step;
}

Task<Result<void>> TcpStream::send_file(FilePtr file, uint64_t offset, uint64_t length) {
  const auto self = shared_from_this();
  if (shut_) co_return fail(failure(ECANCELED, "send to"));
  while (length > 0) {
    auto step = co_await loop_.offload([&, this] { return send_step(*file, offset, length); });
    offset += step.moved;
    length -= step.moved;
    if (step.error) co_return fail(std::move(*step.error));
    if (length == 0 || !step.would_block) continue;
    auto ready = co_await wait(Direction::write);
    if (!ready) co_return propagate(ready);
  }
  co_return Result<void>{};
}

void TcpStream::shutdown() noexcept {
  if (shut_.exchange(true)) return;
  ::shutdown(descriptor(), SHUT_RDWR);
  watch_.wake();
}

}  // namespace krakend::io
