#include <fcntl.h>
#include <poll.h>

#include <cerrno>

#include "io/socket.h"
#include "io/tls_session.h"

namespace krakend::io {
namespace {

class SocketChannel final : public TlsChannel {
 public:
  SocketChannel(TlsClient& client, int socket, const std::string& host, uint16_t port)
      : socket_(socket), peer_(Address{host, port}.str()), session_(make_session(client, host)) {}
  ~SocketChannel() override { session_->say_end(); }

  Result<void> shake_hands(Duration timeout) {
    while (true) {
      const auto step = session_->handshake();
      if (step.failed()) return fail(failure(step, "handshake with"));
      if (step.end) return fail(Errc::network, "{} closed the connection in the TLS handshake", peer_);
      if (step.want == TlsSession::Want::nothing) return {};
      if (auto ready = wait(step.want, timeout); !ready) return ready;
    }
  }

  Result<size_t> read(std::span<std::byte> out, Duration timeout) override {
    while (true) {
      const auto step = session_->read(out);
      if (step.failed()) return fail(failure(step, "read from"));
      if (step.moved > 0 || step.end) return step.moved;
      if (auto ready = wait(step.want, timeout); !ready) return propagate(ready);
    }
  }

  Result<size_t> write(std::span<const std::byte> data, Duration timeout) override {
    while (!data.empty()) {
      const auto step = session_->write(data);
      if (step.failed()) return fail(failure(step, "write to"));
      if (step.moved > 0) return step.moved;
      if (auto ready = wait(step.want, timeout); !ready) return propagate(ready);
    }
    return size_t{0};
  }

  bool pending() const override { return session_->pending(); }
  bool resumed() const override { return session_->resumed(); }

 private:
  std::unique_ptr<TlsSession> make_session(TlsClient& client, const std::string& host) const {
    auto context = client.context();
    auto ssl = context->connecting(host, peer_);
    return std::make_unique<TlsSession>(std::move(context), std::move(ssl), socket_);
  }

  Result<void> wait(TlsSession::Want want, Duration timeout) const {
    pollfd poll{socket_, static_cast<short>(want == TlsSession::Want::write ? POLLOUT : POLLIN), 0};
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(timeout).count();
    int found = 0;
    do {
      found = ::poll(&poll, 1, static_cast<int>(ms));
    } while (found < 0 && errno == EINTR);
    if (found < 0) return fail(errno_error(errno, "wait for " + peer_));
    if (found == 0) return fail(Errc::timeout, "{} is silent", peer_);
    return {};
  }

  Error failure(const TlsSession::Step& step, const char* what) const {
    if (step.err == 0) return {Errc::protocol, fmt::format("{} {}: TLS: {}", what, peer_, step.problem)};
    auto error = errno_error(step.err, fmt::format("{} {}", what, peer_));
    if (error.code != Errc::timeout) error.code = Errc::network;
    return error;
  }

  const int socket_;
  const std::string peer_;  ///< "host:port", which is the key of the session too
  std::unique_ptr<TlsSession> session_;
};

}  // namespace

Result<std::unique_ptr<TlsChannel>> TlsChannel::connect(TlsClient& client, int socket,
                                                        const std::string& host, uint16_t port,
                                                        Duration timeout) {
  ignore_broken_pipes();
  ::fcntl(socket, F_SETFL, ::fcntl(socket, F_GETFL) | O_NONBLOCK);
  auto channel = std::make_unique<SocketChannel>(client, socket, host, port);
  if (auto shaken = channel->shake_hands(timeout); !shaken) return propagate(shaken);
  return std::unique_ptr<TlsChannel>(std::move(channel));
}

}  // namespace krakend::io
