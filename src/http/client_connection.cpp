#include "http/client_connection.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <functional>

namespace krakend::http {

namespace {

Duration duration_of(time_t seconds, time_t microseconds) {
  return std::chrono::seconds(seconds) + std::chrono::microseconds(microseconds);
}

/// What the library reads from and writes to once a connection is secured. The set of functions to override
/// differs between versions of the library, hence no `override`.
class Wire final : public httplib::Stream {
 public:
  Wire(io::TlsChannel& channel, socket_t socket, std::optional<Error>& failure)
      : channel_(channel), socket_(socket), failure_(failure) {}
  void limit(Duration read, Duration write) {
    read_limit_ = read;
    write_limit_ = write;
  }
  // Every call waits for the socket itself.
  bool is_readable() const { return true; }
  bool wait_readable() const { return true; }
  bool is_writable() const { return true; }
  bool wait_writable() const { return true; }
  ssize_t read(char* out, size_t size) {
    return outcome(channel_.read({reinterpret_cast<std::byte*>(out), size}, read_limit_));
  }
  ssize_t write(const char* data, size_t size) {
    return outcome(channel_.write({reinterpret_cast<const std::byte*>(data), size}, write_limit_));
  }
  void get_remote_ip_and_port(std::string& /*ip*/, int& /*port*/) const {}
  void get_local_ip_and_port(std::string& /*ip*/, int& /*port*/) const {}
  socket_t socket() const { return socket_; }
  time_t duration() const { return 0; }

 private:
  ssize_t outcome(Result<size_t> moved) {
    if (moved) return static_cast<ssize_t>(*moved);
    failure_ = std::move(moved.error());
    return -1;
  }

  io::TlsChannel& channel_;
  socket_t socket_;
  std::optional<Error>& failure_;
  Duration read_limit_{};
  Duration write_limit_{};
};

}  // namespace

/// The library's client over our TLS: its own knows neither sessions nor another name than the host's.
class ClientConnection::Secured final : public httplib::ClientImpl {
 public:
  Secured(const io::Address& host, std::shared_ptr<io::TlsClient> tls)
      : ClientImpl(host.host, host.port), tls_(std::move(tls)) {}
  const std::optional<Error>& failure() const { return failure_; }
  /// Session tickets, which may come at any time, are taken in.
  bool quiet() {
    std::byte unexpected{};
    const auto got = channel_ ? channel_->read({&unexpected, 1}, Duration{0}) : size_t{0};
    return !got && got.error().code == Errc::timeout;
  }

 private:
  bool create_and_connect_socket(Socket& socket, httplib::Error& error) override {
    failure_.reset();
    if (!ClientImpl::create_and_connect_socket(socket, error)) return false;
    const Duration limit = duration_of(connection_timeout_sec_, connection_timeout_usec_);
    auto channel = io::TlsChannel::connect(*tls_, socket.sock, host_, static_cast<uint16_t>(port_), limit);
    if (channel) {
      channel_ = std::move(*channel);
      return true;
    }
    failure_ = std::move(channel.error());
    error = failure_->code == Errc::timeout ? httplib::Error::ConnectionTimeout : httplib::Error::Connection;
    shutdown_socket(socket);
    close_socket(socket);
    return false;
  }
  void shutdown_ssl(Socket& /*socket*/, bool /*gracefully*/) override { channel_.reset(); }
  bool process_socket(const Socket& socket, std::function<bool(httplib::Stream&)> callback) override {
    Wire wire(*channel_, socket.sock, failure_);
    wire.limit(duration_of(read_timeout_sec_, read_timeout_usec_),
               duration_of(write_timeout_sec_, write_timeout_usec_));
    return callback(wire);
  }

  std::shared_ptr<io::TlsClient> tls_;
  std::unique_ptr<io::TlsChannel> channel_;  ///< of the socket that is open
  std::optional<Error> failure_;
};

ClientConnection::ClientConnection(const io::Address& host, std::shared_ptr<io::TlsClient> tls) {
  if (tls) {
    auto secured = std::make_unique<Secured>(host, std::move(tls));
    secured_ = secured.get();
    http_ = std::move(secured);
  } else {
    http_ = std::make_unique<httplib::ClientImpl>(host.host, host.port);
  }
  http_->set_keep_alive(true);
  http_->set_tcp_nodelay(true);
  http_->set_url_encode(false);  // targets come escaped, some of them twice
  http_->set_decompress(false);
  http_->set_follow_location(false);
  http_->set_socket_options([this](socket_t socket) { adopt(socket); });
}

ClientConnection::~ClientConnection() {
  if (socket_ >= 0) ::close(socket_);
}

std::optional<Error> ClientConnection::tls_failure() const {
  return secured_ != nullptr ? secured_->failure() : std::nullopt;
}

bool ClientConnection::quiet() {
  if (secured_ != nullptr) return secured_->quiet();
  const std::lock_guard lock(mutex_);
  char unexpected = 0;
  return ::recv(socket_, &unexpected, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

/// The library calls this for each socket it makes, before it connects.
void ClientConnection::adopt(int socket) {
  const std::lock_guard lock(mutex_);
  if (socket_ >= 0) ::close(socket_);
  socket_ = ::fcntl(socket, F_DUPFD_CLOEXEC, 0);
  if (cut_ && socket_ >= 0) ::shutdown(socket_, SHUT_RDWR);
}

void ClientConnection::cut() {
  const std::lock_guard lock(mutex_);
  cut_ = true;
  if (socket_ >= 0) ::shutdown(socket_, SHUT_RDWR);
}

}  // namespace krakend::http
