#pragma once

#include <httplib.h>

#include <atomic>
#include <memory>
#include <mutex>

#include "krakend/io/net.h"

namespace krakend::http {

/// A cpp-httplib client with its (at most one) socket. One worker thread uses it at a time.
class ClientConnection {
 public:
  explicit ClientConnection(const io::Address& host);
  ClientConnection(const ClientConnection&) = delete;
  ClientConnection& operator=(const ClientConnection&) = delete;
  ~ClientConnection();

  httplib::Client& http() { return http_; }
  /// The socket can carry another request.
  bool reusable() const { return !cut_ && http_.is_socket_open() != 0; }
  /// Any thread, never waits: ends whatever the socket is doing, a connect included. For good. (The library's
  /// own stop() would wait for a connect to end.)
  void cut();

 private:
  void adopt(int socket);

  httplib::Client http_;
  std::mutex mutex_;
  /// A duplicate of the library's socket: that one may be closed, and its number used again, at any time.
  int socket_ = -1;
  std::atomic<bool> cut_{false};
};
using ClientConnectionPtr = std::shared_ptr<ClientConnection>;

}  // namespace krakend::http
