#include "support/world.h"

#include <stdexcept>
#include <utility>

namespace krakend::test {

namespace {

constexpr Duration stop_grace = 1s;

Task<Result<http::ClientResponse>> send(http::Client& client, http::ClientRequest request) {
  co_return co_await client.send(std::move(request));
}

}  // namespace

World::World() = default;

World::~World() {
  run(server->stop(stop_grace));
  run(upstream->stop(stop_grace));
  caller.reset();
  client.reset();
  server.reset();
  upstream.reset();
}

http::ClientResponse World::call(std::string method, const io::Address& host, std::string target,
                                 std::string body, http::Headers headers) {
  http::ClientRequest request;
  request.method = std::move(method);
  request.host = host;
  request.target = std::move(target);
  request.headers = std::move(headers);
  if (!body.empty()) request.body = std::move(body);
  auto response = run(send(*caller, std::move(request)));
  if (!response) throw std::runtime_error(response.error().message);
  return std::move(*response);
}

io::Address World::serve(http::Router router) {
  http::ListenOptions options;
  options.name = "fake";
  options.address = {"127.0.0.1", 0};
  auto bound = upstream->listen(options, std::move(router));
  if (!bound) throw std::runtime_error(bound.error().message);
  return *bound;
}

io::Address nobody(World& world) {
  auto listener = world.net->listen({"127.0.0.1", 0});
  if (!listener) throw std::runtime_error(listener.error().message);
  return (*listener)->local();
}

}  // namespace krakend::test
