#include <asio/posix/stream_descriptor.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <cerrno>

#include "io/socket.h"
#include "io/tcp_stream.h"
#include "krakend/io/system.h"

namespace krakend::io {
namespace {

constexpr int listen_backlog = 4096;
/// How long accept() rests when the process has run out of descriptors or memory.
constexpr Duration exhausted_pause = 100ms;

bool exhausted(int err) {
  return err == EMFILE || err == ENFILE || err == ENOBUFS || err == ENOMEM;
}

class TcpListener final : public Listener {
 public:
  TcpListener(Loop& loop, Clock& clock, Descriptor fd)
      : state_(std::make_shared<State>(loop, clock, local_address(fd.get()))) {
    state_->socket.assign(fd.release());
  }
  ~TcpListener() override { TcpListener::close(); }

  Task<Result<StreamPtr>> accept() override {
    const auto state = state_;
    while (!state->closed) {
      Descriptor fd(::accept4(state->socket.native_handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      if (fd.get() >= 0) {
        tune_connection(fd.get());
        co_return StreamPtr(std::make_shared<TcpStream>(state->loop, std::move(fd)));
      }
      if (exhausted(errno)) {
        co_await state->clock.sleep(exhausted_pause);
      } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
        asio::error_code error;
        co_await state->socket.async_wait(asio::posix::stream_descriptor::wait_read,
                                          asio::redirect_error(asio::use_awaitable, error));
        if (error && !state->closed) throw asio::system_error(error);
      }
    }
    co_return fail(Errc::cancelled, "listener on {} was closed", state->local.str());
  }

  const Address& local() const override { return state_->local; }
  void close() noexcept override {
    if (std::exchange(state_->closed, true)) return;
    // Nothing that is queued may be accepted any more, and the port is free at once.
    asio::error_code ignored;
    state_->socket.close(ignored);
  }

 private:
  struct State {
    State(Loop& l, Clock& c, Address a) : loop(l), clock(c), socket(l.executor()), local(std::move(a)) {}
    Loop& loop;
    Clock& clock;
    asio::posix::stream_descriptor socket;
    Address local;
    bool closed = false;
  };
  std::shared_ptr<State> state_;
};

class TcpNet final : public Net {
 public:
  TcpNet(Loop& loop, Clock& clock) : loop_(loop), clock_(clock) {}

  Task<Result<StreamPtr>> connect(const Address& to, Duration timeout) override {
    const Address address = to;
    const TimePoint deadline = clock_.now() + timeout;
    auto found = resolve(address, true);
    if (!found) found = co_await loop_.offload([&] { return resolve(address, false); });
    if (!found) co_return propagate(found);
    Error last{Errc::network, fmt::format("connect {}: no address", address.str())};
    for (const auto& candidate : *found) {
      auto stream = co_await connect_one(candidate, address, deadline);
      if (stream) co_return stream;
      last = stream.error();
    }
    co_return fail(std::move(last));
  }

  Result<std::unique_ptr<Listener>> listen(const Address& at) override {
    auto found = resolve(at, false);
    if (!found) return propagate(found);
    const auto& address = found->front();
    auto fd = open_socket(address.storage.ss_family);
    if (!fd) return propagate(fd);
    set_option(fd->get(), SOL_SOCKET, SO_REUSEADDR, 1);
    if (::bind(fd->get(), address.get(), address.length) != 0 || ::listen(fd->get(), listen_backlog) != 0) {
      if (errno == EADDRINUSE) {
        return fail(Errc::unavailable, "address {} is in use: stop the other process or choose another port",
                    at.str());
      }
      return fail(errno_error(errno, fmt::format("listen on {}", at.str())));
    }
    return std::unique_ptr<Listener>(std::make_unique<TcpListener>(loop_, clock_, std::move(*fd)));
  }

 private:
  Task<Result<StreamPtr>> connect_one(SocketAddress candidate, Address name, TimePoint deadline) {
    const auto what = fmt::format("connect {}", name.str());
    auto fd = open_socket(candidate.storage.ss_family);
    if (!fd) co_return propagate(fd);
    tune_connection(fd->get());
    if (::connect(fd->get(), candidate.get(), candidate.length) != 0 && errno != EINPROGRESS) {
      co_return fail(connect_error(errno, what));
    }
    asio::posix::stream_descriptor socket(loop_.executor(), fd->release());
    bool late = false;
    auto timer = clock_.after(deadline - clock_.now(), [&] {
      late = true;
      asio::error_code ignored;
      socket.cancel(ignored);
    });
    asio::error_code error;
    co_await socket.async_wait(asio::posix::stream_descriptor::wait_write,
                               asio::redirect_error(asio::use_awaitable, error));
    timer.cancel();
    if (late) co_return fail(Errc::timeout, "{}: no answer in time", what);
    if (error) throw asio::system_error(error);
    int status = 0;
    socklen_t length = sizeof status;
    ::getsockopt(socket.native_handle(), SOL_SOCKET, SO_ERROR, &status, &length);
    if (status != 0) co_return fail(connect_error(status, what));
    co_return StreamPtr(std::make_shared<TcpStream>(loop_, Descriptor(socket.release())));
  }

  static Error connect_error(int err, const std::string& what) {
    auto error = errno_error(err, what);
    if (error.code != Errc::timeout) error.code = Errc::network;
    return error;
  }

  Loop& loop_;
  Clock& clock_;
};

}  // namespace

std::unique_ptr<Net> make_tcp_net(Loop& loop, Clock& clock) {
  return std::make_unique<TcpNet>(loop, clock);
}

}  // namespace krakend::io
