#pragma once

#include <httplib.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>

#include "krakend/io/net.h"
#include "krakend/io/tls.h"

namespace krakend::http {

/// A cpp-httplib client with its (at most one) socket. One worker thread uses it at a time.
class ClientConnection {
 public:
  /// Null `tls`: plain.
  ClientConnection(const io::Address& host, std::shared_ptr<io::TlsClient> tls);
  ClientConnection(const ClientConnection&) = delete;
  ClientConnection& operator=(const ClientConnection&) = delete;
  ~ClientConnection();

  httplib::ClientImpl& http() { return *http_; }
  /// What TLS itself failed of, where that was the reason of a failed call.
  std::optional<Error> tls_failure() const;
  /// The socket can carry another request.
  bool reusable() const { return !cut_ && http_->is_socket_open() != 0; }
  /// Nothing has come since the last answer, not even the end. Of an idle connection, before it is used again.
  bool quiet();
  /// Any thread, never waits: ends whatever the socket is doing, a connect included. For good. (The library's
  /// own stop() would wait for a connect to end.)
  void cut();

 private:
  void adopt(int socket);

  class Secured;
  std::unique_ptr<httplib::ClientImpl> http_;
  Secured* secured_ = nullptr;  ///< http_, where it is that
  std::mutex mutex_;
  /// A duplicate of the library's socket: that one may be closed, and its number used again, at any time.
  int socket_ = -1;
  std::atomic<bool> cut_{false};
};
using ClientConnectionPtr = std::shared_ptr<ClientConnection>;

}  // namespace krakend::http
