#include "server_contract.h"

namespace krakend::http::test {
namespace {

std::string post(std::string_view body, std::string_view fields = {}) {
  return fmt::format("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n{}\r\n{}", body.size(), fields,
                     body);
}

constexpr std::string_view chunked_post =
    "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: Chunked\r\n\r\n"
    "5\r\nhello\r\n"
    "0006;name=\"value\"\r\n, worl\r\n"
    "1\r\nd\r\n"
    "0\r\nTrailer: x\r\n\r\n";

/// Counts what it is given and remembers its beginning.
class CountingSink final : public io::ByteSink {
 public:
  Result<void> write(std::span<const std::byte> data) override {
    count += data.size();
    if (begin.size() < 64) begin.append(as_text(data.first(std::min<size_t>(data.size(), 64))));
    return {};
  }
  uint64_t count = 0;
  std::string begin;
};

Task<Response> refuse_unread(Request& /*request*/) {
  co_return text_response(409, "already here\n");
}

}  // namespace

void server_feeds_bodies(const ServerFactory& make) {
  ServerStage stage(make);
  stage.router.add("POST", "/unread", refuse_unread);
  stage.serve(echo);

  SECTION("of known length, together with the next request") {
    auto wire = stage.connect();
    wire.send(post("first") + post("") + get("/") + post("second"));
    for (const char* body : {"first", "", "", "second"}) CHECK(wire.response().body == body);
  }
  SECTION("large ones") {
    const auto body = pattern(9 * MiB + 17);
    CHECK(stage.ask(post(body)).body == body);
  }
  SECTION("chunked, cut anywhere") {
    for (size_t cut = 1; cut < chunked_post.size(); ++cut) {
      INFO("cut at byte " << cut);
      auto wire = stage.connect();
      wire.send(chunked_post.substr(0, cut)).send(chunked_post.substr(cut));
      CHECK(wire.response().body == "hello, world");
      CHECK(wire.send(get("/")).response().status == 200);
    }
  }
  SECTION("chunked, byte by byte, together with the next request") {
    auto wire = stage.connect();
    for (const char c : chunked_post) wire.send({&c, 1});
    CHECK(wire.response().body == "hello, world");
    wire.send(std::string(chunked_post) + std::string(chunked_post) + get("/"));
    CHECK(wire.response().body == "hello, world");
    CHECK(wire.response().body == "hello, world");
    CHECK(wire.response().status == 200);
  }
  SECTION("100 Continue is said when the handler reads, and only then") {
    auto reads = stage.connect();
    reads.send("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    CHECK(reads.bytes(25) == "HTTP/1.1 100 Continue\r\n\r\n");
    CHECK(reads.send("hello").response().body == "hello");
    CHECK(reads.send(get("/")).response().status == 200);
    auto refuses = stage.connect();
    refuses.send("POST /unread HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    const auto refused = refuses.response();
    CHECK(refused.status == 409);
    CHECK(refused.headers.get("Connection") == "close");
  }
  SECTION("a short unread body is skipped") {
    auto wire = stage.connect();
    const std::string unread = "POST /unread HTTP/1.1\r\nHost: h\r\nContent-Length: 200000\r\n\r\n";
    wire.send(unread + std::string(200'000, 'x') + get("/"));
    CHECK(wire.response().status == 409);
    CHECK(wire.response().status == 200);
  }
  SECTION("a long unread body ends the connection, but its sender gets the answer") {
    auto wire = stage.connect();
    wire.send("POST /unread HTTP/1.1\r\nHost: h\r\nContent-Length: 3000000\r\n\r\n");
    wire.send(std::string(3'000'000, 'x'));
    const auto refused = wire.response();
    CHECK(refused.status == 409);
    CHECK(refused.headers.get("Connection") == "close");
  }
}

void server_waits_for_slow_senders(const ServerFactory& make) {
  CountingSink sink;
  ServerStage stage(make);
  stage.options.body_timeout = 1s;  // of silence: in all it takes longer
  stage.serve([&](Request& request) -> Task<Response> {
    (void)co_await request.body->read_to(sink, 1 * MiB);
    co_return text_response(200);
  });
  auto wire = stage.connect();
  wire.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 6\r\n\r\n");
  for (int i = 0; i < 6; ++i) {
    stage.run(stage.clock->sleep(200ms));
    wire.send("x");
  }
  CHECK(wire.response().status == 200);
  CHECK(sink.count == 6);
}

void server_treats_broken_bodies(const ServerFactory& make) {
  CountingSink sink;
  std::optional<Result<uint64_t>> outcome;
  uint64_t limit = 1 * MiB;
  ServerStage stage(make);
  stage.options.body_timeout = 50ms;
  stage.serve([&](Request& request) -> Task<Response> {
    outcome = co_await request.body->read_to(sink, limit);
    co_return outcome->has_value() ? text_response(200) : error_response(outcome->error());
  });

  SECTION("what arrived before the sender left has been fed") {
    auto wire = stage.connect();
    wire.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nhello");
    stage.until([&] { return sink.count == 5; });
    wire.leave();
    stage.until([&] { return outcome.has_value(); });
    CHECK(outcome->error().code == Errc::network);
    CHECK(sink.begin == "hello");
  }
  SECTION("a sender that stops is given up") {
    auto wire = stage.connect();
    wire.send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nhello");
    CHECK(wire.closed());
    stage.until([&] { return outcome.has_value(); });
    CHECK(outcome->error().code == Errc::timeout);
  }
  SECTION("more than the handler allows") {
    limit = 10;
    CHECK(stage.ask(post("0123456789")).status == 200);
    CHECK(stage.ask(post("0123456789a")).status == 413);
    auto chunked = stage.connect();
    chunked.send(
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n0123456789a\r\n0\r\n\r\n");
    const auto response = chunked.response();
    CHECK(response.status == 413);
    CHECK(response.headers.get("Connection") == "close");
  }
  SECTION("bad chunks") {
    const std::string head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (const char* chunks : {"x\r\n", "5 5\r\n", "-1\r\n", "0x5\r\n", "\r\n", "5\nhello", "5\r\nhelloX\r\n",
                               "10000000000000000\r\n", "0\r\nTrailer\n\r\n"}) {
      INFO(chunks);
      const auto response = stage.ask(head + chunks);
      CHECK(response.status == 400);
      CHECK(response.headers.get("Connection") == "close");
    }
  }
}

}  // namespace krakend::http::test
