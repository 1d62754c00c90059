#include "krakend/http/server.h"

#include <set>

#include "http/connection.h"
#include "http/linger.h"
#include "http/response_head.h"
#include "krakend/core/hex.h"
#include "krakend/io/condition.h"
#include "krakend/io/task_group.h"

namespace krakend::http {
namespace {

/// Connections that are told of the overload at once; further ones are just closed.
constexpr size_t max_turned_away = 256;

/// Counts one while it lives: from accept on, so that a burst cannot pass the limit before its tasks run.
class Seat {
 public:
  explicit Seat(size_t& taken) : taken_(taken) { ++taken_; }
  Seat(const Seat&) = delete;
  Seat& operator=(const Seat&) = delete;
  ~Seat() { --taken_; }

 private:
  size_t& taken_;
};

class StreamServer final : public Server {
 public:
  StreamServer(io::Loop& loop, io::Clock& clock, io::Net& net, Logger log)
      : loop_(loop), clock_(clock), net_(net), log_(log.module("http")), tasks_(loop, log_), ended_(loop) {}

  Result<io::Address> listen(ListenOptions options, Router router) override {
    auto listener = net_.listen(options.address);
    if (!listener) return propagate(listener);
    if (options.tls) *listener = io::make_tls_listener(loop_, std::move(*listener), options.tls);
    const auto address = (*listener)->local();
    std::shared_ptr<ListenerContext> context(
        new ListenerContext{loop_, clock_, tasks_, parser_, std::move(options), std::move(router), log_});
    contexts_.push_back(context);
    listeners_.push_back(std::move(*listener));
    tasks_.spawn(accept_loop(listeners_.back().get(), context), "http listener");
    return address;
  }

  Task<> stop(Duration grace) override {
    for (const auto& context : contexts_) context->stopping = true;
    for (const auto& listener : listeners_) listener->close();
    for (auto* connection : connections_) {
      if (connection->idle()) connection->cut();
    }
    const auto deadline = clock_.now() + grace;
    while (!connections_.empty() && clock_.now() < deadline) {
      co_await ended_.wait_for(clock_, deadline - clock_.now());
    }
    for (auto* connection : connections_) connection->cut();
    co_await tasks_.stop();
  }

 private:
  Task<> accept_loop(io::Listener* listener, std::shared_ptr<ListenerContext> context) {
    while (true) {
      auto stream = co_await listener->accept();
      if (!stream) co_return;
      if (context->open >= context->options.max_connections) {
        // A handshake is more than a client that is too many may cost: with TLS it is told nothing.
        if (!context->options.tls && turned_away_ < max_turned_away)
          tasks_.spawn(turn_away(std::move(*stream), std::make_unique<Seat>(turned_away_)), "http overload");
        continue;
      }
      tasks_.spawn(serve(context, std::move(*stream), std::make_unique<Seat>(context->open)),
                   "http connection");
    }
  }

  Task<> serve(std::shared_ptr<ListenerContext> context, io::StreamPtr stream,
               std::unique_ptr<Seat> /*seat*/) {
    const auto connection = std::make_shared<Connection>(std::move(context), std::move(stream));
    const Registration registration(*this, connection.get());
    co_await Connection::serve(connection);
  }

  Task<> turn_away(io::StreamPtr stream, std::unique_ptr<Seat> /*seat*/) {
    Response response = text_response(503, "too many connections\n");
    response.headers.add("Retry-After", "1");
    const auto head = format_head(response, false) + std::get<std::string>(response.body);
    auto written = co_await stream->write(as_bytes(head), false);
    if (written) co_await linger(clock_, stream);
  }

  /// A connection among those its listener serves, for stop().
  struct Registration {
    Registration(StreamServer& s, Connection* c) : server(s), connection(c) {
      server.connections_.insert(connection);
    }
    Registration(const Registration&) = delete;
    Registration& operator=(const Registration&) = delete;
    ~Registration() {
      server.connections_.erase(connection);
      server.ended_.notify_all();
    }
    StreamServer& server;
    Connection* connection;
  };

  io::Loop& loop_;
  io::Clock& clock_;
  io::Net& net_;
  Logger log_;
  HeadParser parser_;
  io::TaskGroup tasks_;
  io::Condition ended_;
  std::vector<std::shared_ptr<ListenerContext>> contexts_;
  std::vector<std::unique_ptr<io::Listener>> listeners_;
  std::set<Connection*> connections_;
  size_t turned_away_ = 0;
};

}  // namespace

std::unique_ptr<Server> make_server(io::Loop& loop, io::Clock& clock, io::Net& net, Logger log) {
  return std::make_unique<StreamServer>(loop, clock, net, std::move(log));
}

}  // namespace krakend::http
