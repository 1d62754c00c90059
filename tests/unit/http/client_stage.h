#pragma once

#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "stage.h"

namespace krakend::http::test {

using ClientFactory = std::function<std::unique_ptr<Client>(Stage&, ClientOptions)>;

/// A server that says exactly what the test tells it to. It keeps what it received.
class ScriptedPeer {
 public:
  /// Speaks on one accepted connection until it returns; then the connection is closed.
  using Script = std::function<Task<>(ScriptedPeer&, io::StreamPtr)>;

  ScriptedPeer(Stage& stage, Script script) : script_(std::move(script)), tasks_(stage.loop), stage_(stage) {
    auto listener = stage.net->listen({"127.0.0.1", 0});
    REQUIRE(listener);
    listener_ = std::move(*listener);
    tasks_.spawn(accept(), "accept");
  }
  ~ScriptedPeer() {
    listener_->close();
    stage_.run(tasks_.stop());
  }
  const io::Address& address() const { return listener_->local(); }

  /// One request with its body as it came over the wire; empty when the connection was closed.
  Task<std::string> read_request(io::StreamPtr stream) {
    std::string text;
    size_t total = std::string::npos;
    std::array<std::byte, 16384> part;
    while (text.size() < total) {
      auto got = co_await stream->read_some(part);
      if (!got || *got == 0) co_return std::string();
      text += as_text(std::span(part).first(*got));
      const auto end = text.find("\r\n\r\n");
      if (end == std::string::npos) continue;
      total = end + 4;
      const auto length = text.find("Content-Length: ");
      if (length < end) total += std::stoull(text.substr(length + 16));
    }
    requests.push_back(text);
    co_return text;
  }
  static Task<bool> say(io::StreamPtr stream, std::string text) {
    auto written = co_await stream->write(as_bytes(text));
    co_return written.has_value();
  }

  /// Answers every request with `answer`, keeping the connection.
  static Script always(std::string answer) {
    return [answer = std::move(answer)](ScriptedPeer& peer, io::StreamPtr stream) {
      return repeat(peer, std::move(stream), answer);
    };
  }

  int accepted = 0;
  int open = 0;
  int most_open = 0;
  std::vector<std::string> requests;

 private:
  static Task<> repeat(ScriptedPeer& peer, io::StreamPtr stream, std::string answer) {
    while (true) {
      const auto request = co_await peer.read_request(stream);
      if (request.empty()) co_return;
      co_await say(stream, answer);
    }
  }
  Task<> accept() {
    while (true) {
      auto stream = co_await listener_->accept();
      if (!stream) co_return;
      ++accepted;
      tasks_.spawn(serve(std::move(*stream)), "peer");
    }
  }
  Task<> serve(io::StreamPtr stream) {
    most_open = std::max(most_open, ++open);
    co_await script_(*this, stream);
    stream->shutdown();
    --open;
  }

  Script script_;
  std::unique_ptr<io::Listener> listener_;
  io::TaskGroup tasks_;
  Stage& stage_;
};

class ClientStage : public Stage {
 public:
  explicit ClientStage(const ClientFactory& make, ClientOptions options = {})
      : client(make(*this, options)) {}

  Result<ClientResponse> send(ClientRequest request) { return run(client->send(std::move(request))); }
  Result<ClientResponse> get(const ScriptedPeer& peer, std::string target = "/") {
    return send(request("GET", peer, std::move(target)));
  }
  static ClientRequest request(std::string method, const ScriptedPeer& peer, std::string target = "/") {
    ClientRequest request;
    request.method = std::move(method);
    request.host = peer.address();
    request.target = std::move(target);
    return request;
  }
  /// Runs calls at the same time.
  std::vector<Result<ClientResponse>> send_all(std::vector<ClientRequest> requests) {
    std::vector<Result<ClientResponse>> responses;
    io::TaskGroup group(loop);
    for (auto& request : requests) group.spawn(collect(std::move(request), responses), "call");
    until([&] { return responses.size() == requests.size(); });
    run(group.stop());
    return responses;
  }

  std::unique_ptr<Client> client;

 private:
  Task<> collect(ClientRequest request, std::vector<Result<ClientResponse>>& responses) {
    responses.push_back(co_await client->send(std::move(request)));
  }
};

/// Keeps what it is given; may fail after a while.
class RecordingSink final : public io::ByteSink {
 public:
  Result<void> write(std::span<const std::byte> data) override {
    if (text.size() + data.size() > fail_after) return fail(Errc::no_space, "disk full");
    text += as_text(data);
    return {};
  }
  std::string text;
  size_t fail_after = std::string::npos;
};

}  // namespace krakend::http::test
