#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "krakend/core/line_log.h"
#include "krakend/core/log.h"
#include "krakend/core/metrics.h"
#include "krakend/core/time.h"
#include "krakend/core/units.h"
#include "krakend/http/message.h"
#include "krakend/io/address_range.h"
#include "krakend/io/clock.h"
#include "krakend/io/loop.h"
#include "krakend/io/net.h"
#include "krakend/io/tls.h"

namespace krakend::http {

using Handler = std::function<Task<Response>(Request&)>;

/// Maps method and path to handlers, by the reference's rule for escaped paths (contract http-api §1.3):
/// routing happens on the received path unless it is just the default encoding of its decoded form, then on
/// the decoded form; each captured parameter is decoded once more (a bad escape there: 400; an empty one:
/// 400). Pattern: "/namespace/{namespace}/blobs/{digest}"; a parameter never matches '/'; a final "*" matches
/// any rest, captured as "*".
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

/// How often one client address may call what begins with `prefix`; beyond: 429. Like nginx's leaky bucket
/// without delay.
struct RateLimit {
  std::string prefix;
  double per_second = 0;
  double burst = 0;  ///< requests ahead of the rate
  /// Addresses remembered at once; beyond, those that could call again first are forgotten.
  size_t max_addresses = 10'000;
};

/// Bodies of a role that takes only small ones, as the reference has it.
inline constexpr uint64_t small_body = 1 * MiB;

/// A line for each request that is served, but not for health and readiness.
struct AccessLog {
  LineLog log;        ///< a default-made one: none
  bool json = false;  ///< as the reference's nginx has it; otherwise nginx' "combined"
  std::string host;   ///< of this machine
};

/// How long a request may be without an answer, while no byte of its body comes in either: then 504. Paths
/// that begin with `prefix`.
struct AnswerTimeout {
  std::string prefix;
  Duration limit{0};
};

struct ListenOptions {
  std::string name;  ///< in logs: "registry", "api"
  io::Address address;
  /// Serves TLS with it: the handshake has `head_timeout`, and requests other than GET and HEAD need a valid
  /// client certificate, except from this host (contract config-ops §5.3). Null: plain HTTP.
  std::shared_ptr<io::TlsServer> tls;
  /// Who may ask anything at all; others get 403. nullopt: everybody.
  std::optional<std::vector<io::AddressRange>> allowed;
  std::vector<RateLimit> rates;
  /// Text and JSON go out with gzip to clients that take it (contract config-ops §5.5).
  bool compress = false;
  /// Bytes of a request body; beyond: 413.
  uint64_t max_body = 10 * GiB;
  /// Bytes of the request line and all headers; beyond: 431.
  size_t max_head = 64 * KiB;
  /// Time for a whole head once its first byte is there; then the connection is closed.
  Duration head_timeout = 10s;
  /// A keep-alive connection without a request is closed after this.
  Duration idle_timeout = 75s;
  /// A body in either direction that makes no progress for this long ends the connection.
  Duration body_timeout = 60s;
  /// The first that fits a path holds; none: as long as it takes.
  std::vector<AnswerTimeout> answer_timeouts;
  /// The listener is one that the reference has nginx before.
  bool fronted = true;
  /// Connections of this listener at once; beyond: 503 and close, unless health is asked for.
  size_t max_connections = 20'000;
  /// Of them, those of one client address: no client can have them all.
  size_t max_connections_per_address = 10'000;
  /// Requests of this listener at once; beyond: 503 with Retry-After. Those that begin something, as pulls
  /// do, get three quarters of them, so that what runs can go on.
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
  answer_timeout,
};

/// HTTP/1.1 server. Handlers run as tasks on the loop thread; bodies move without holding a thread. A plain
/// listener answers a TLS ClientHello at once with a plain 400, and one with TLS does so with plain HTTP.
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
