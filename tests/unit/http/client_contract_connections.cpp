#include "client_contract.h"

namespace krakend::http::test {
namespace {

constexpr const char* ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

Task<> answer_once(ScriptedPeer& peer, io::StreamPtr stream) {
  co_await peer.read_request(stream);
  co_await ScriptedPeer::say(stream, ok);
}

/// Takes a second request over a connection and closes it without an answer.
Task<> fail_second(ScriptedPeer& peer, io::StreamPtr stream) {
  co_await answer_once(peer, stream);
  co_await peer.read_request(stream);
}

Task<> begin_second(ScriptedPeer& peer, io::StreamPtr stream) {
  co_await answer_once(peer, stream);
  co_await peer.read_request(stream);
  co_await ScriptedPeer::say(stream, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
}

Task<> never_answer(ScriptedPeer& peer, io::StreamPtr stream) {
  while (true) {
    const auto request = co_await peer.read_request(stream);
    if (request.empty()) co_return;
  }
}

}  // namespace

void client_keeps_connections(const ClientFactory& make) {
  ClientOptions options;
  options.max_idle_per_host = 2;
  ClientStage stage(make, options);

  SECTION("for the next calls") {
    ScriptedPeer peer(stage, ScriptedPeer::always(ok));
    for (int i = 0; i < 5; ++i) CHECK(stage.get(peer));
    CHECK(peer.accepted == 1);
    ScriptedPeer other(stage, ScriptedPeer::always(ok));
    CHECK(stage.get(other));
    CHECK(other.accepted == 1);
  }
  SECTION("not when the server wants them closed") {
    ScriptedPeer peer(
        stage, ScriptedPeer::always("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"));
    for (int i = 0; i < 3; ++i) CHECK(stage.get(peer));
    CHECK(peer.accepted == 3);
  }
  SECTION("no more than allowed") {
    ScriptedPeer peer(stage, ScriptedPeer::always(ok));
    const std::vector<ClientRequest> requests(6, ClientStage::request("GET", peer));
    for (const auto& response : stage.send_all(requests)) CHECK(response);
    stage.until([&] { return peer.open <= 2; });
  }
}

void client_survives_stale_connections(const ClientFactory& make) {
  ClientStage stage(make);
  const auto method = GENERATE(std::string("GET"), std::string("PUT"), std::string("POST"));
  INFO(method);

  SECTION("closed by the server while idle") {
    ScriptedPeer peer(stage, answer_once);
    CHECK(stage.get(peer));
    stage.until([&] { return peer.open == 0; });
    // When a whole exchange with somebody else is over, the end of this one has reached the client as well.
    ScriptedPeer other(stage, ScriptedPeer::always(ok));
    CHECK(stage.get(other));
    CHECK(stage.send(ClientStage::request(method, peer)));
    CHECK(peer.accepted == 2);
  }
  SECTION("closed by the server when the request was there already") {
    ScriptedPeer peer(stage, fail_second);
    CHECK(stage.get(peer));
    const auto response = stage.send(ClientStage::request(method, peer));
    // It may have been carried out: only what may happen twice is sent twice.
    CHECK(response.has_value() == (method != "POST"));
    CHECK(peer.accepted == (method != "POST" ? 2 : 1));
  }
  SECTION("lost when the answer had begun") {
    ScriptedPeer peer(stage, begin_second);
    CHECK(stage.get(peer));
    RecordingSink sink;
    auto request = ClientStage::request(method, peer);
    request.sink = &sink;
    CHECK(stage.send(request).error().code == Errc::network);
    CHECK(peer.requests.size() == 2);
  }
}

void client_limits_time(const ClientFactory& make) {
  ClientStage stage(make);

  SECTION("a silent server") {
    ScriptedPeer peer(stage, never_answer);
    auto request = ClientStage::request("GET", peer);
    request.idle_timeout = 30ms;
    const auto response = stage.send(request);
    CHECK(response.error().code == Errc::timeout);
    CHECK(response.error().message == fmt::format("GET {}/: silent for 0.03 s", peer.address().str()));
    request.idle_timeout = 60s;
    request.total_timeout = 30ms;
    CHECK(stage.send(request).error().code == Errc::timeout);
  }
  SECTION("a server that goes on without end") {
    const auto begin = GENERATE(std::string("HTTP/1.1 200 OK\r\nX: "),
                                std::string("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"));
    struct Trickle {
      static Task<> speak(Stage* stage, ScriptedPeer& peer, io::StreamPtr stream, std::string text) {
        co_await peer.read_request(stream);
        bool there = co_await ScriptedPeer::say(stream, text);
        while (there) {
          there = co_await ScriptedPeer::say(stream, "x");
          co_await stage->clock->sleep(5ms);
        }
      }
    };
    ScriptedPeer peer(stage, [&stage, begin](ScriptedPeer& self, io::StreamPtr stream) {
      return Trickle::speak(&stage, self, std::move(stream), begin);
    });
    RecordingSink sink;
    auto request = ClientStage::request("GET", peer);
    request.sink = &sink;
    request.total_timeout = 60ms;
    CHECK(stage.send(request).error().code == Errc::timeout);
    stage.until([&] { return peer.open == 0; });
  }
}

void client_limits_concurrency(const ClientFactory& make) {
  ClientOptions options;
  options.max_threads = 2;
  ClientStage stage(make, options);

  SECTION("more calls wait for their turn") {
    ScriptedPeer peer(stage, ScriptedPeer::always(ok));
    const std::vector<ClientRequest> requests(10, ClientStage::request("GET", peer));
    for (const auto& response : stage.send_all(requests)) CHECK(response);
    CHECK(peer.most_open <= 2);
    CHECK(peer.requests.size() == 10);
  }
  SECTION("and the wait is part of their time") {
    ScriptedPeer peer(stage, never_answer);
    auto request = ClientStage::request("GET", peer);
    request.total_timeout = 80ms;
    std::vector<ClientRequest> requests(2, request);
    request.total_timeout = 20ms;  // over before it is their turn
    requests.resize(6, request);
    for (const auto& response : stage.send_all(requests)) CHECK(response.error().code == Errc::timeout);
    CHECK(peer.requests.size() <= 2);
  }
}

void client_ends_with_its_task(const ClientFactory& make) {
  ClientOptions options;
  options.max_threads = 1;
  ClientStage stage(make, options);
  ScriptedPeer peer(stage, never_answer);
  int ended = 0;
  struct Call {
    static Task<> make(Client* client, ClientRequest request, int* ended) {
      RecordingSink sink;  // of the frame that goes when the task is stopped
      request.sink = &sink;
      const auto response = co_await client->send(std::move(request));
      CHECK(response.error().code == Errc::cancelled);
      ++*ended;
    }
  };
  io::TaskGroup group(stage.loop);
  // The second one waits for the only thread.
  for (int i = 0; i < 2; ++i) {
    group.spawn(Call::make(stage.client.get(), ClientStage::request("GET", peer), &ended), "call");
  }
  stage.until([&] { return peer.requests.size() == 1; });
  const auto before = stage.clock->now();
  stage.run(group.stop());
  CHECK(ended == 2);
  CHECK(stage.clock->now() - before < 5s);
  stage.until([&] { return peer.open == 0; });
}

}  // namespace krakend::http::test
