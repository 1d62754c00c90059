#include "http/client_connection.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace krakend::http {

ClientConnection::ClientConnection(const io::Address& host) : http_(host.host, host.port) {
  http_.set_keep_alive(true);
  http_.set_tcp_nodelay(true);
  http_.set_url_encode(false);  // targets come escaped, some of them twice
  http_.set_decompress(false);
  http_.set_follow_location(false);
  http_.set_socket_options([this](socket_t socket) { adopt(socket); });
}

ClientConnection::~ClientConnection() {
  if (socket_ >= 0) ::close(socket_);
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
