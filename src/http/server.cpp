#include "krakend/http/server.h"

#include <list>

#include "http/connection.h"
#include "krakend/core/counted.h"
#include "krakend/core/hex.h"
#include "krakend/io/condition.h"
#include "krakend/io/task_group.h"

namespace krakend::http {
namespace {

/// Connections that are told of the overload at once; further ones are just closed.
constexpr size_t max_turned_away = 256;

/// Counts a connection of an address while it lives.
class AddressSeat {
 public:
  AddressSeat(std::unordered_map<std::string, size_t>& open, std::string host)
      : open_(open), host_(std::move(host)) {
    ++open_[host_];
  }
  AddressSeat(const AddressSeat&) = delete;
  AddressSeat& operator=(const AddressSeat&) = delete;
  ~AddressSeat() {
    const auto mine = open_.find(host_);
    if (--mine->second == 0) open_.erase(mine);
  }

 private:
  std::unordered_map<std::string, size_t>& open_;
  const std::string host_;
};

/// Counts one while it lives: from accept on, so that a burst cannot pass the limit before its tasks run.
using Seat = Counted<size_t>;

class StreamServer final : public Server {
 public:
  StreamServer(io::Loop& loop, io::Clock& clock, io::Net& net, Logger log)
      : loop_(loop), clock_(clock), net_(net), log_(log.module("http")), tasks_(loop, log_), ended_(loop) {}

  Result<io::Address> listen(ListenOptions options, Router router) override {
    auto listener = net_.listen(options.address);
    if (!listener) return propagate(listener);
    if (options.tls) *listener = io::make_tls_listener(loop_, std::move(*listener), options.tls);
    const auto address = (*listener)->local();
    if (change_) change_(options);
    const auto context = make_context(std::move(options), std::move(router));
    contexts_.push_back(context);
    listeners_.push_back(std::move(*listener));
    tasks_.spawn_essential(accept_loop(listeners_.back().get(), context), "http listener " + address.str());
    return address;
  }

  void configure(std::function<void(ListenOptions&)> change) override {
    change_ = std::move(change);
    for (const auto& context : contexts_) change_(context->options);
  }

  void overload(bool now) override { overload_ = now; }

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
      const std::optional<Limit> crowded = crowd(*context, (*stream)->peer().host);
      if (crowded) {
        context->metrics.limit(*crowded);
        // A handshake is more than a client that is too many may cost: with TLS it is told nothing.
        if (context->options.tls || turned_away_ >= max_turned_away) continue;
      }
      auto seat = std::make_unique<Seat>(crowded ? turned_away_ : context->open);
      tasks_.spawn(serve(context, std::move(*stream), std::move(seat), crowded), "http connection");
    }
  }

  /// Which limit one more connection from there would pass.
  static std::optional<Limit> crowd(const ListenerContext& context, const std::string& host) {
    if (context.open >= context.options.max_connections) return Limit::connections;
    const auto there = context.open_by_address.find(host);
    if (there == context.open_by_address.end()) return std::nullopt;
    if (there->second < context.options.max_connections_per_address) return std::nullopt;
    return Limit::connections_per_address;
  }

  Task<> serve(std::shared_ptr<ListenerContext> context, io::StreamPtr stream, std::unique_ptr<Seat> /*seat*/,
               std::optional<Limit> crowded) {
    const AddressSeat address(context->open_by_address, stream->peer().host);
    const auto connection = std::make_shared<Connection>(std::move(context), std::move(stream), crowded);
    const Registration registration(*this, connection.get());
    co_await Connection::serve(connection);
  }

  std::shared_ptr<ListenerContext> make_context(ListenOptions options, Router router) {
    const Metrics metrics = options.metrics;
    auto context =
        std::make_shared<ListenerContext>(ListenerContext::Shared{loop_, clock_, tasks_, parser_, overload_},
                                          std::move(options), std::move(router), log_);
    metrics.on_read([weak = std::weak_ptr(context)] {
      if (const auto alive = weak.lock())
        alive->metrics.show(alive->open, alive->admission.requests(), alive->admission.uploads());
    });
    return context;
  }

  /// A connection among those its listener serves, for stop().
  struct Registration {
    Registration(StreamServer& s, Connection* c)
        : server(s), place(server.connections_.insert(server.connections_.end(), c)) {}
    Registration(const Registration&) = delete;
    Registration& operator=(const Registration&) = delete;
    ~Registration() {
      server.connections_.erase(place);
      server.ended_.notify_all();
    }
    StreamServer& server;
    std::list<Connection*>::iterator place;
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
  std::list<Connection*> connections_;  ///< in order of arrival
  size_t turned_away_ = 0;
  bool overload_ = false;
  std::function<void(ListenOptions&)> change_;
};

}  // namespace

std::unique_ptr<Server> make_server(io::Loop& loop, io::Clock& clock, io::Net& net, Logger log) {
  return std::make_unique<StreamServer>(loop, clock, net, std::move(log));
}

}  // namespace krakend::http
