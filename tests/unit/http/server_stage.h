#pragma once

#include <memory>
#include <string>
#include <utility>

#include "stage.h"

namespace krakend::http::test {

using ServerFactory = std::function<std::unique_ptr<Server>(Stage&)>;

/// A server under test with one listener.
class ServerStage : public Stage {
 public:
  explicit ServerStage(const ServerFactory& make) : server(make(*this)) {
    options.name = "test";
    options.address = {"127.0.0.1", 0};
  }
  ~ServerStage() { run(server->stop(0s)); }

  void listen() {
    auto bound = server->listen(options, std::move(router));
    REQUIRE(bound);
    address = *bound;
  }
  /// One handler for everything.
  void serve(Handler handler) {
    router.fallback(std::move(handler));
    listen();
  }
  Wire connect() { return Wire(*this, address); }
  /// Sends `request` over a new connection and reads one response.
  WireResponse ask(std::string_view request) { return connect().send(request).response(); }

  ListenOptions options;
  Router router;
  std::unique_ptr<Server> server;
  io::Address address;
};

inline std::string get(std::string_view target, std::string_view fields = {}) {
  return fmt::format("GET {} HTTP/1.1\r\nHost: h\r\n{}\r\n", target, fields);
}

/// Handlers. They hold nothing, so they may be made anywhere.
inline Task<Response> say_ok(Request& /*request*/) {
  co_return text_response(200, "ok");
}
/// The body sent back, or the error that reading it came to.
inline Task<Response> echo(Request& request) {
  auto text = co_await request.body->text(64 * MiB);
  if (!text) co_return error_response(text.error());
  co_return text_response(200, *text);
}

/// A file whose bytes become available as the test says.
class GrowingContent final : public io::Content {
 public:
  GrowingContent(io::Loop& loop, io::FilePtr file, uint64_t size)
      : file_(std::move(file)), size_(size), changed_(loop) {}
  uint64_t size() const override { return size_; }
  io::FilePtr file() const override { return file_; }
  Task<Result<uint64_t>> ready(uint64_t offset) override {
    ++waiting;
    const Leave leave{waiting};
    while (true) {
      if (offset < released_) co_return released_;
      if (error_) co_return fail(*error_);
      co_await changed_.wait();
    }
  }
  void release(uint64_t upto) {
    released_ = upto;
    changed_.notify_all();
  }
  void fail_with(Error error) {
    error_ = std::move(error);
    changed_.notify_all();
  }

  int waiting = 0;

 private:
  struct Leave {
    int& count;
    ~Leave() { --count; }
  };
  io::FilePtr file_;
  uint64_t size_;
  uint64_t released_ = 0;
  std::optional<Error> error_;
  io::Condition changed_;
};

}  // namespace krakend::http::test
