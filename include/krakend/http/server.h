#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "krakend/core/log.h"
#include "krakend/core/metrics.h"
#include "krakend/core/time.h"
#include "krakend/core/units.h"
#include "krakend/http/message.h"
#include "krakend/io/clock.h"
#include "krakend/io/loop.h"
#include "krakend/io/net.h"

namespace krakend::http {

using Handler = std::function<Task<Response>(Request&)>;

/// Maps method and path to handlers, by the reference's rule for escaped paths (contract http-api §1.3): routing
/// happens on the received path unless it is just the default encoding of its decoded form, then on the decoded
/// form; each captured parameter is decoded once more (a bad escape there: 400; an empty one: 400).
/// Pattern: "/namespace/{namespace}/blobs/{digest}"; a parameter never matches '/'; a final "*" matches any rest,
/// captured as "*".
class Router {
 public:
  enum class WrongMethod { not_found, method_not_allowed };
  explicit Router(WrongMethod wrong_method = WrongMethod::not_found) : wrong_method_(wrong_method) {}

  Router& add(std::string method, std::string pattern, Handler handler);
  /// Takes whatever no pattern matched, with the received path (the registry parses its own).
  Router& fallback(Handler handler);

  /// Unknown path: 404 "404 page not found\n" with X-Content-Type-Options: nosniff.
  Task<Response> handle(Request& request) const;

 private:
  struct Route {
    std::string method;
    std::vector<std::string> segments;
    Handler handler;
  };
  std::vector<Route> routes_;
  Handler fallback_;
  WrongMethod wrong_method_;
};

/// A line for each request that is served, but not for health and readiness.
struct AccessLog {
  LineLog log;        ///< a default-made one: none
  bool json = false;  ///< as the reference's nginx has it; otherwise nginx' "combined"
  std::string host;   ///< of this machine
};

struct ListenOptions {
  std::string name;  ///< in logs: "registry", "api"
  io::Address address;
  /// Bytes of the request line and all headers; beyond: 431.
  size_t max_head = 64 * KiB;
  /// Time for a whole head once its first byte is there; then the connection is closed.
  Duration head_timeout = 10s;
  /// A keep-alive connection without a request is closed after this.
  Duration idle_timeout = 75s;
  /// A body in either direction that makes no progress for this long ends the connection.
  Duration body_timeout = 60s;
  /// Connections of this listener at once; beyond: 503 and close, unless health is asked for.
  size_t max_connections = 20'000;
  /// Of them, those of one client address: no client can have them all.
  size_t max_connections_per_address = 10'000;
  /// Requests of this listener at once; beyond: 503 with Retry-After. Those that begin something, as pulls do, get
  /// three quarters of them, so that what runs can go on.
  size_t max_requests = 8192;
  /// Of them, those that bring a body of more than 64 KiB or of unknown length.
  size_t max_uploads = 4096;
  /// Begin of paths whose GET goes on with something.
  std::vector<std::string> running;
  Metrics metrics = {};
  AccessLog access_log = {};
};

/// The limits of a listener that http_limits_total counts.
enum class Limit {
  connections,
  connections_per_address,
  requests,
  uploads,
  overload,
  head_bytes,
  head_timeout,
  idle_timeout,
  body_timeout,
};

/// HTTP/1.1 server. Handlers run as tasks on the loop thread; bodies move without holding a thread. A plain
/// listener answers a TLS ClientHello at once with a plain 400.
class Server {
 public:
  virtual ~Server() = default;
  /// Starts to listen and serve. Returns the bound address (port 0 picks one).
  virtual Result<io::Address> listen(ListenOptions options, Router router) = 0;
  /// Changes the options of all listeners, those that come later too. What concerns the socket itself stays.
  virtual void configure(std::function<void(ListenOptions&)> change) = 0;
  /// While the process has too much to do, requests that begin something are answered 503.
  virtual void overload(bool now) = 0;
  /// Stops accepting, lets requests in progress finish for at most `grace`, then cuts them.
  virtual Task<> stop(Duration grace) = 0;
};

std::unique_ptr<Server> make_server(io::Loop& loop, io::Clock& clock, io::Net& net, Logger log);

}  // namespace krakend::http
