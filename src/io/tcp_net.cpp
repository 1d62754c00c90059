#include <asio/posix/stream_descriptor.hpp>
#include <asio/redirect_error.hpp>
#include <asio/use_awaitable.hpp>
#include <cerrno>

#include "io/resolver.h"
#include "io/socket.h"
#include "io/tcp_listener.h"
#include "io/tcp_stream.h"
#include "io/unix_socket.h"
#include "krakend/io/system.h"

namespace krakend::io {
namespace {

constexpr int listen_backlog = 4096;

Error connect_error(int err, const Address& to) {
  auto error = errno_error(err, fmt::format("connect {}", to.str()));
  if (error.code != Errc::timeout) error.code = Errc::network;
  return error;
}

class TcpNet final : public Net {
 public:
  TcpNet(Loop& loop, Clock& clock) : loop_(loop), clock_(clock), resolver_(loop, clock) {
    ignore_broken_pipes();
  }

  Task<Result<StreamPtr>> connect(const Address& to, Duration timeout) override {
    return connect_by_name(to, timeout);
  }

  Result<std::unique_ptr<Listener>> listen(const Address& at) override {
    if (const std::string path = at.unix_path(); !path.empty()) {
      auto socket = listen_unix(path, listen_backlog);
      if (!socket) return propagate(socket);
      return make_tcp_listener(loop_, clock_, std::move(*socket));
    }
    auto found = io::resolve(at, false);
    if (!found) return propagate(found);
    const auto& address = found->front();
    auto fd = open_socket(address.storage.ss_family);
    if (!fd) return propagate(fd);
    set_option(fd->get(), SOL_SOCKET, SO_REUSEADDR, 1);
    if (::bind(fd->get(), address.get(), address.length) != 0 || ::listen(fd->get(), listen_backlog) != 0) {
      const int err = errno;
      if (err == EADDRINUSE) {
        return fail(Errc::unavailable, "address {} is in use: stop the other process or choose another port",
                    at.str());
      }
      return fail(errno_error(err, fmt::format("listen on {}", at.str())));
    }
    return make_tcp_listener(loop_, clock_, std::move(*fd));
  }

  Task<Result<std::vector<std::string>>> resolve(std::string host, Duration timeout) override {
    Address name{std::move(host), 0};
    auto found = co_await resolver_.resolve(name, timeout);
    if (!found) co_return propagate(found);
    std::vector<std::string> addresses;
    for (const SocketAddress& address : *found) addresses.push_back(to_address(address).host);
    co_return addresses;
  }

 private:
  Task<Result<StreamPtr>> connect_by_name(Address to, Duration timeout) {
    const TimePoint deadline = clock_.now() + timeout;
    auto found = co_await resolver_.resolve(to, timeout);
    if (!found) co_return propagate(found);
    Error last{Errc::network, fmt::format("connect {}: no address", to.str())};
    for (size_t i = 0; i < found->size(); ++i) {
      // A dead address of a host must leave time for the next one.
      const auto share = (deadline - clock_.now()) / static_cast<int64_t>(found->size() - i);
      auto stream = co_await connect_one((*found)[i], to, share);
      if (stream) co_return stream;
      last = stream.error();
    }
    co_return fail(std::move(last));
  }

  Task<Result<StreamPtr>> connect_one(SocketAddress candidate, Address name, Duration limit) {
    auto fd = open_socket(candidate.storage.ss_family);
    if (!fd) co_return propagate(fd);
    tune_connection(fd->get());
    if (::connect(fd->get(), candidate.get(), candidate.length) != 0 && errno != EINPROGRESS) {
      co_return fail(connect_error(errno, name));
    }
    auto connected = co_await wait_connected(fd->get(), name, limit);
    if (!connected) co_return propagate(connected);
    // Connecting to a free port of this host can meet the socket's own port and succeed with itself.
    if (local_address(fd->get()) == peer_address(fd->get()))
      co_return fail(connect_error(ECONNREFUSED, name));
    co_return TcpStream::make(loop_, std::move(*fd));
  }

  /// Borrows the descriptor.
  Task<Result<void>> wait_connected(int fd, const Address& name, Duration limit) {
    asio::posix::stream_descriptor socket(loop_.executor());
    asio::error_code error;
    socket.assign(fd, error);
    if (error) co_return fail(connect_error(error.value(), name));
    const Borrowed guard{socket};
    bool late = false;
    const auto timer = clock_.after(limit, [&] {
      late = true;
      asio::error_code ignored;
      socket.cancel(ignored);
    });
    co_await socket.async_wait(asio::posix::stream_descriptor::wait_write,
                               asio::redirect_error(asio::use_awaitable, error));
    int status = 0;
    socklen_t length = sizeof status;
    ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &status, &length);
    if (late && error) co_return fail(Errc::timeout, "connect {}: no answer in time", name.str());
    if (error == asio::error::operation_aborted) throw asio::system_error(error);
    if (error) co_return fail(connect_error(error.value(), name));
    if (status != 0) co_return fail(connect_error(status, name));
    co_return Result<void>{};
  }

  /// Gives the descriptor back unclosed, on every way out.
  struct Borrowed {
    asio::posix::stream_descriptor& socket;
    ~Borrowed() { socket.release(); }
  };

  Loop& loop_;
  Clock& clock_;
  Resolver resolver_;
};

}  // namespace

std::unique_ptr<Net> make_tcp_net(Loop& loop, Clock& clock) {
  return std::make_unique<TcpNet>(loop, clock);
}

}  // namespace krakend::io
