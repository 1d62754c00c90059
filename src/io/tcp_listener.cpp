#include "io/tcp_listener.h"

#include <unistd.h>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <cerrno>
#include <utility>

#include "io/tcp_stream.h"

namespace krakend::io {
namespace {

/// The descriptor listens no longer, and never will again.
bool is_dead(int err) {
  return err == EBADF || err == EINVAL || err == ENOTSOCK || err == EOPNOTSUPP;
}

/// How long accept() rests when the process has run out of descriptors or memory.
constexpr Duration exhausted_pause = 100ms;

class TcpListener final : public Listener {
 public:
  struct State {
    State(Loop& l, Clock& c, Address a) : loop(l), clock(c), socket(l.executor()), local(std::move(a)) {}
    Loop& loop;
    Clock& clock;
    asio::posix::stream_descriptor socket;
    Address local;
    bool closed = false;
  };

  explicit TcpListener(std::shared_ptr<State> state) : state_(std::move(state)) {}
  ~TcpListener() override { TcpListener::close(); }

  Task<Result<StreamPtr>> accept() override { return accept_on(state_); }
  const Address& local() const override { return state_->local; }
  void close() noexcept override {
    if (std::exchange(state_->closed, true)) return;
    // Nothing that is queued may be accepted any more, and the port is free at once.
    asio::error_code ignored;
    state_->socket.close(ignored);
    if (const std::string path = state_->local.unix_path(); !path.empty()) ::unlink(path.c_str());
  }

 private:
  static Task<Result<StreamPtr>> accept_on(std::shared_ptr<State> state) {
    while (!state->closed) {
      Descriptor fd(::accept4(state->socket.native_handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
      const int err = errno;
      if (fd.get() >= 0) {
        tune_connection(fd.get());
        auto stream = TcpStream::make(state->loop, std::move(fd));
        if (stream) co_return stream;
        co_await state->clock.sleep(exhausted_pause);
      } else if (err == EAGAIN || err == EWOULDBLOCK) {
        asio::error_code error;
        co_await state->socket.async_wait(asio::posix::stream_descriptor::wait_read,
                                          asio::redirect_error(asio::use_awaitable, error));
        if (error && !state->closed) throw asio::system_error(error);
      } else if (is_dead(err)) {
        if (!state->closed) throw asio::system_error(err, asio::error::get_system_category(), "accept");
      } else if (err != EINTR && err != ECONNABORTED) {
        // Out of descriptors or memory, or something of the network that passes: never a busy loop.
        co_await state->clock.sleep(exhausted_pause);
      }
    }
    co_return fail(Errc::cancelled, "listener on {} was closed", state->local.str());
  }

  std::shared_ptr<State> state_;
};

}  // namespace

Result<std::unique_ptr<Listener>> make_tcp_listener(Loop& loop, Clock& clock, Descriptor fd) {
  auto state = std::make_shared<TcpListener::State>(loop, clock, local_address(fd.get()));
  asio::error_code error;
  state->socket.assign(fd.get(), error);
  if (error) return fail(errno_error(error.value(), fmt::format("watch listener {}", state->local.str())));
  fd.release();
  return std::unique_ptr<Listener>(std::make_unique<TcpListener>(std::move(state)));
}

}  // namespace krakend::io
