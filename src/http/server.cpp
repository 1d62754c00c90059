#include "krakend/http/server.h"

#include <set>

#include "http/connection.h"
#include "krakend/io/condition.h"
#include "krakend/io/task_group.h"

namespace krakend::http {
namespace {

class StreamServer final : public Server {
 public:
  StreamServer(io::Loop& loop, io::Clock& clock, io::Net& net, Logger log)
      : loop_(loop), clock_(clock), net_(net), log_(log.module("http")), tasks_(loop, log_), ended_(loop) {}

  Result<io::Address> listen(ListenOptions options, Router router) override {
    auto listener = net_.listen(options.address);
    if (!listener) return propagate(listener);
    const auto address = (*listener)->local();
    std::shared_ptr<ListenerContext> context(
        new ListenerContext{loop_, clock_, parser_, std::move(options), std::move(router), log_});
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
    auto open = std::make_shared<size_t>(0);
    while (true) {
      auto stream = co_await listener->accept();
      if (!stream) co_return;
      if (*open >= context->options.max_connections) {
        tasks_.spawn(turn_away(*stream), "http overload");
        continue;
      }
      tasks_.spawn(serve(context, std::move(*stream), open), "http connection");
    }
  }

  Task<> serve(std::shared_ptr<ListenerContext> context, io::StreamPtr stream, std::shared_ptr<size_t> open) {
    const auto connection = std::make_shared<Connection>(std::move(context), std::move(stream));
    const Registration registration(*this, connection.get(), *open);
    co_await Connection::serve(connection);
  }

  static Task<> turn_away(io::StreamPtr stream) {
    static constexpr std::string_view answer =
        "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 1\r\nConnection: "
        "close\r\n\r\n";
    co_await stream->write(std::as_bytes(std::span(answer)), false);
  }

  /// Keeps the books about one connection, however its task ends.
  struct Registration {
    Registration(StreamServer& s, Connection* c, size_t& count) : server(s), connection(c), open(count) {
      ++open;
      server.connections_.insert(connection);
    }
    Registration(const Registration&) = delete;
    Registration& operator=(const Registration&) = delete;
    ~Registration() {
      --open;
      server.connections_.erase(connection);
      server.ended_.notify_all();
    }
    StreamServer& server;
    Connection* connection;
    size_t& open;
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
};

}  // namespace

std::unique_ptr<Server> make_server(io::Loop& loop, io::Clock& clock, io::Net& net, Logger log) {
  return std::make_unique<StreamServer>(loop, clock, net, std::move(log));
}

}  // namespace krakend::http
