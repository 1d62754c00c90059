#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "krakend/core/hex.h"
#include "krakend/http/client.h"

namespace krakend::test {

/// An HTTP client whose answers a test makes up. A 200 or 206 body goes to the request's sink, as with a real
/// one.
class FakeClient final : public http::Client {
 public:
  using Answer = std::function<Task<Result<http::ClientResponse>>(http::ClientRequest)>;

  Task<Result<http::ClientResponse>> send(http::ClientRequest request) override {
    calls.push_back(request.method + " " + request.host.str() + request.target);
    requests.push_back(request);
    io::ByteSink* const sink = request.sink;
    auto response = co_await answer(std::move(request));
    if (!response || sink == nullptr || (response->status != 200 && response->status != 206))
      co_return response;
    auto written = sink->write(as_bytes(response->body));
    response->body.clear();
    if (!written) co_return propagate(written);
    co_return response;
  }

  /// Answers without waiting.
  void reply(std::function<Result<http::ClientResponse>(const http::ClientRequest&)> fn) {
    reply_ = std::move(fn);
    answer = [this](http::ClientRequest request) { return now(std::move(request)); };
  }

  Answer answer;
  std::vector<std::string> calls;
  std::vector<http::ClientRequest> requests;

 private:
  Task<Result<http::ClientResponse>> now(http::ClientRequest request) { co_return reply_(request); }

  std::function<Result<http::ClientResponse>(const http::ClientRequest&)> reply_;
};

inline http::ClientResponse answer(int status, std::string body = {}, http::Headers headers = {}) {
  return {status, std::move(headers), std::move(body)};
}

/// Collects what it is given.
class TextSink final : public io::ByteSink {
 public:
  Result<void> write(std::span<const std::byte> data) override {
    text.append(as_text(data));
    return {};
  }
  std::string text;
};

}  // namespace krakend::test
