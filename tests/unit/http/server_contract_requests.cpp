#include <array>

#include "server_contract.h"

namespace krakend::http::test {
namespace {

/// Everything the handler sees, as text.
Task<Response> describe(Request& request) {
  std::string text =
      fmt::format("{} {} path={} query={}", request.method, request.target, request.path, request.query);
  for (const auto& [name, value] : request.headers.fields()) text += fmt::format(" [{}={}]", name, value);
  co_return text_response(200, text);
}

struct BadHead {
  const char* what;
  std::string bytes;
  int status;
};

std::vector<BadHead> bad_heads() {
  const auto with = [](std::string field) { return "POST / HTTP/1.1\r\n" + field + "\r\n\r\n"; };
  return {
      {"garbage", "hello\r\n\r\n", 400},
      {"binary", std::string("\x00\x01\x02\x03", 4), 400},
      {"no version", "GET /\r\n\r\n", 400},
      {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400},
      {"unknown version", "GET / HTTP/3.0\r\n\r\n", 400},
      {"unknown method", "BREW / HTTP/1.1\r\n\r\n", 400},
      {"lower-case method", "get / HTTP/1.1\r\n\r\n", 400},
      {"two spaces", "GET  / HTTP/1.1\r\n\r\n", 400},
      {"space in the target", "GET /a b HTTP/1.1\r\n\r\n", 400},
      {"fragment", "GET /a#b HTTP/1.1\r\n\r\n", 400},
      {"not a path", "OPTIONS * HTTP/1.1\r\n\r\n", 400},
      {"authority", "CONNECT h:80 HTTP/1.1\r\n\r\n", 400},
      {"NUL in the target", std::string("GET /a\0b HTTP/1.1\r\n\r\n", 22), 400},
      {"NUL in a value", with(std::string("X: a\0b", 6)), 400},
      {"CR in a value", with("X: a\rY: b"), 400},
      {"LF alone ends a line", "GET / HTTP/1.1\r\nX: a\nContent-Length: 5\r\n\r\n", 400},
      {"LF alone everywhere", "GET / HTTP/1.1\nX: a\n\n", 400},
      {"no colon", with("Content-Length 5"), 400},
      {"no name", with(": 5"), 400},
      {"blank before the colon", with("Content-Length : 5"), 400},
      {"folded line", with("X: a\r\n b"), 400},
      {"folded first line", with(" X: a"), 400},
      {"two lengths", with("Content-Length: 5\r\nContent-Length: 6"), 400},
      {"the same length twice", with("Content-Length: 5\r\nContent-Length: 5"), 400},
      {"length list", with("Content-Length: 5, 5"), 400},
      {"signed length", with("Content-Length: +5"), 400},
      {"negative length", with("Content-Length: -1"), 400},
      {"hexadecimal length", with("Content-Length: 0x5"), 400},
      {"escaped length", with("Content-Length: %35"), 400},
      {"empty length", with("Content-Length:"), 400},
      {"huge length", with("Content-Length: 99999999999999999999"), 400},
      {"length and chunked", with("Content-Length: 5\r\nTransfer-Encoding: chunked"), 400},
      {"chunked in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"unknown coding", with("Transfer-Encoding: gzip"), 501},
      {"coding list", with("Transfer-Encoding: gzip, chunked"), 501},
      {"chunked twice", with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"), 501},
      {"disguised chunked", with("Transfer-Encoding: xchunked"), 501},
      {"two hosts", with("Host: a\r\nHost: b"), 400},
      {"long path", "GET /" + std::string(8 * KiB, 'a') + " HTTP/1.1\r\n\r\n", 414},
  };
}

}  // namespace

void server_reads_requests(const ServerFactory& make) {
  ServerStage stage(make);
  stage.serve(describe);

  SECTION("the target arrives as it was sent") {
    CHECK(stage.ask(get("/a%2Fb//c%252F?x=%31&y?z")).body ==
          "GET /a%2Fb//c%252F?x=%31&y?z path=/a%2Fb//c%252F query=x=%31&y?z [Host=h]");
    CHECK(stage.ask("GET http://h:80/a?b HTTP/1.1\r\nHost: h\r\n\r\n").body ==
          "GET /a?b path=/a query=b [Host=h]");
  }
  SECTION("header fields keep order, case and escapes") {
    CHECK(stage.ask("GET / HTTP/1.1\r\nb: 2\r\nAccept: x\r\nB:\t%41%0d \r\nRange: bytes=x\r\nE:\r\n\r\n")
              .body == "GET / path=/ query= [b=2] [Accept=x] [B=%41%0d] [Range=bytes=x] [E=]");
  }
  SECTION("a connection is kept by the rules of its version") {
    auto kept = stage.connect();
    for (int i = 0; i < 3; ++i) {
      const auto response = kept.send(get("/")).response();
      CHECK(response.status == 200);
      CHECK(response.headers.get("Connection") == "keep-alive");
    }
    kept.send(get("/", "Connection: TE, Close\r\n"));
    CHECK(kept.response().headers.get("Connection") == "close");
    CHECK(kept.closed());
    auto old = stage.connect();
    old.send("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
    CHECK(old.response().headers.get("Connection") == "keep-alive");
    old.send("GET / HTTP/1.0\r\n\r\n");
    CHECK(old.response().headers.get("Connection") == "close");
    CHECK(old.closed());
  }
  SECTION("requests sent ahead are answered in order") {
    auto wire = stage.connect();
    wire.send(get("/1") + "\r\n" + get("/2") + get("/3"));
    for (const char* target : {"/1", "/2", "/3"})
      CHECK(wire.response().body.starts_with(std::string("GET ") + target));
  }
  SECTION("a request may arrive byte by byte") {
    auto wire = stage.connect();
    for (const char c : get("/slow")) wire.send({&c, 1});
    CHECK(wire.response().body.starts_with("GET /slow "));
  }
}

void server_refuses_malformed_heads(const ServerFactory& make) {
  ServerStage stage(make);
  stage.serve(describe);

  SECTION("with a status, plain text and the end of the connection") {
    for (const auto& bad : bad_heads()) {
      INFO(bad.what);
      auto wire = stage.connect();
      wire.send(bad.bytes);
      const auto response = wire.response();
      CHECK(response.status == bad.status);
      CHECK(response.headers.get("Content-Type") == "text/plain; charset=utf-8");
      CHECK(response.headers.get("Connection") == "close");
      wire.leave();
    }
    CHECK(stage.ask(get("/")).status == 200);
  }
  SECTION("at once for a TLS handshake") {
    auto wire = stage.connect();
    wire.send(std::string_view("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11));
    const auto response = wire.response();
    CHECK(response.raw_head.starts_with("HTTP/1.1 400 Bad Request\r\n"));
    CHECK(response.body == "client sent a TLS handshake to a plain HTTP port\n");
  }
}

void server_limits_heads(const ServerFactory& make) {
  ServerStage stage(make);
  stage.options.max_head = 4096;
  stage.options.head_timeout = 50ms;

  SECTION("a head of the largest size is read, one more byte is not") {
    stage.serve(describe);
    const auto fill = stage.options.max_head - get("/", "X: \r\n").size();
    CHECK(stage.ask(get("/", "X: " + std::string(fill, 'x') + "\r\n")).status == 200);
    CHECK(stage.ask(get("/", "X: " + std::string(fill + 1, 'x') + "\r\n")).status == 431);
    auto endless = stage.connect();
    endless.send("GET / HTTP/1.1\r\nX: " + std::string(4096, 'x'));
    CHECK(endless.response().status == 431);
  }
  SECTION("a head that does not come to its end") {
    stage.serve(describe);
    auto late = stage.connect();
    late.send("GET / HT");
    CHECK(late.response().status == 408);
    CHECK(late.closed());
    auto second = stage.connect();
    CHECK(second.send(get("/")).response().status == 200);
    second.send("GET / HT");
    CHECK(second.response().status == 408);
    CHECK(second.closed());
  }
  SECTION("an idle connection is closed without a word") {
    stage.options.idle_timeout = 30ms;
    stage.serve(describe);
    CHECK(stage.connect().closed());
    auto used = stage.connect();
    CHECK(used.send(get("/")).response().status == 200);
    CHECK(used.closed());
  }
}

}  // namespace krakend::http::test
