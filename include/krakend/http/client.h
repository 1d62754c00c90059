#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "krakend/core/time.h"
#include "krakend/core/units.h"
#include "krakend/http/message.h"
#include "krakend/io/clock.h"
#include "krakend/io/loop.h"
#include "krakend/io/tls.h"

namespace krakend::http {

struct FileRange {
  io::FilePtr file;
  uint64_t offset = 0;
  uint64_t length = 0;
};

struct ClientRequest {
  std::string method = "GET";
  io::Address host;
  std::string target;  ///< escaped path and query, sent as it is
  Headers headers;
  std::variant<std::monostate, std::string, FileRange> body;
  /// Where a 200 or 206 body goes, on the client's thread; without it the body is kept as text.
  io::ByteSink* sink = nullptr;
  /// Bytes of a body kept as text; beyond: too_large.
  uint64_t max_text = 32 * MiB;
  Duration connect_timeout = 5s;
  /// Between two reads or writes.
  Duration idle_timeout = 60s;
  /// The whole call.
  Duration total_timeout = 60s;
};

struct ClientResponse {
  int status = 0;
  Headers headers;
  std::string body;
};

/// HTTP/1.1 client with kept-alive connections. Any HTTP answer is a success here, whatever its status;
/// errors are network, timeout, too_large, protocol (TLS: the other side is not who it should be, or does not
/// take us for who we are), or those of the sink. Redirects are not followed. A request made on behalf of one
/// that has a trace passes it on. Loop thread.
class Client {
 public:
  virtual ~Client() = default;
  virtual Task<Result<ClientResponse>> send(ClientRequest request) = 0;
};

struct ClientOptions {
  /// Calls in flight at once; further ones wait their turn.
  unsigned max_threads = 32;
  /// Calls in flight and waiting; one more fails at once: unavailable.
  unsigned max_calls = 10'000;
  /// Idle connections kept per host.
  unsigned max_idle_per_host = 8;
  /// Everything goes over TLS; null: nothing does.
  std::shared_ptr<io::TlsClient> tls;
};
/// Each role has a client of its own: calls between roles of one process then cannot starve each other.
std::unique_ptr<Client> make_client(io::Loop& loop, io::Clock& clock, ClientOptions options);

/// An unexpected status as an error that carries it: "GET host:port/path: 503: <first line of the body>".
Error status_error(const ClientRequest& request, const ClientResponse& response);

}  // namespace krakend::http
