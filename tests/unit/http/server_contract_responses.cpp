#include "server_contract.h"

namespace krakend::http::test {
namespace {

/// Answers with what the test has put into `response` before.
Handler answer_with(const Response& response) {
  return [&response](Request& /*request*/) -> Task<Response> { co_return response; };
}

Response range_of(io::ContentPtr content, uint64_t offset, uint64_t length) {
  Response response;
  response.body = ContentRange{std::move(content), offset, length};
  return response;
}

Task<Response> throw_error(Request& request) {
  if (request.path == "/throw") throw std::runtime_error("broken handler");
  co_return text_response(200, "ok");
}

}  // namespace

void server_frames_responses(const ServerFactory& make) {
  Response response;
  ServerStage stage(make);
  stage.router.add("GET", "/throw", throw_error);
  stage.serve(answer_with(response));

  SECTION("text") {
    response = text_response(201, "made");
    auto wire = stage.connect();
    CHECK(wire.send(get("/")).response().raw_head ==
          "HTTP/1.1 201 Created\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 4\r\n"
          "Connection: keep-alive\r\n\r\n");
    response.body = pattern(5 * MiB + 3);
    CHECK(wire.send(get("/")).response().body == std::get<std::string>(response.body));
    response = text_response(200);
    CHECK(wire.send(get("/")).response().raw_head ==
          "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: keep-alive\r\n\r\n");
  }
  SECTION("HEAD gets the same head and no body") {
    auto wire = stage.connect();
    const std::string head = "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n";
    response = text_response(200, "12345");
    CHECK(wire.send(head).response(true).headers.get("Content-Length") == "5");
    response = range_of(std::make_shared<io::FileContent>(stage.file("f", "0123456789"), 10), 2, 7);
    CHECK(wire.send(head).response(true).headers.get("Content-Length") == "7");
    response = text_response(200);
    response.content_length = 123'456'789'012;
    CHECK(wire.send(head).response(true).headers.get("Content-Length") == "123456789012");
    response = text_response(200, "still in step");
    CHECK(wire.send(get("/")).response().body == "still in step");
  }
  SECTION("204 and 304 have no body") {
    auto wire = stage.connect();
    for (const int status : {204, 304}) {
      response = text_response(status, "never sent");
      const auto got = wire.send(get("/")).response();
      CHECK(got.status == status);
      CHECK_FALSE(got.headers.has("Content-Length"));
    }
    response = text_response(200, "still in step");
    CHECK(wire.send(get("/")).response().body == "still in step");
  }
  SECTION("a handler cannot break the framing") {
    response = text_response(200, "x");
    response.headers = {{"Content-Length", "7"},
                        {"connection", "upgrade"},
                        {"Transfer-Encoding", "chunked"},
                        {"X-A", "a\r\nX-Injected: b"},
                        {"X B", "b"},
                        {"X-C", "c"}};
    CHECK(stage.ask(get("/")).raw_head ==
          "HTTP/1.1 200 OK\r\nX-C: c\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n");
  }
  SECTION("a handler may end the connection") {
    response = text_response(200, "x");
    response.close = true;
    auto wire = stage.connect();
    CHECK(wire.send(get("/")).response().headers.get("Connection") == "close");
    CHECK(wire.closed());
  }
  SECTION("a handler that throws answers 500 and harms nobody else") {
    response = text_response(200, "fine");
    auto other = stage.connect();
    CHECK(stage.ask(get("/throw")).status == 500);
    CHECK(other.send(get("/")).response().body == "fine");
  }
}

void server_sends_content(const ServerFactory& make) {
  Response response;
  ServerStage stage(make);
  stage.serve(answer_with(response));
  const auto bytes = pattern(3 * MiB + 5);
  const auto content = std::make_shared<io::FileContent>(stage.file("blob", bytes), bytes.size());

  SECTION("whole, in part, and none of it") {
    auto wire = stage.connect();
    response = range_of(content, 0, bytes.size());
    CHECK(wire.send(get("/")).response().body == bytes);
    response = range_of(content, 1 * MiB + 1, 1 * MiB);
    CHECK(wire.send(get("/")).response().body == bytes.substr(1 * MiB + 1, 1 * MiB));
    response = range_of(content, bytes.size(), 0);
    CHECK(wire.send(get("/")).response().body.empty());
    CHECK(wire.send(get("/")).response().status == 200);
  }
  SECTION("never short without cutting the connection") {
    response =
        range_of(std::make_shared<io::FileContent>(content->file(), bytes.size() + 10), 0, bytes.size() + 10);
    const auto got = stage.ask(get("/"));
    CHECK(got.status == 0);
    CHECK(got.body == bytes);
  }
}

void server_sends_late_content(const ServerFactory& make) {
  Response response;
  ServerStage stage(make);
  stage.options.body_timeout = 50ms;
  stage.serve([&response](Request& /*request*/) -> Task<Response> {
    co_return std::exchange(response, text_response(200, "next"));  // the test keeps no share of the content
  });
  const auto bytes = pattern(24 * MiB);
  auto content = std::make_shared<GrowingContent>(stage.loop, stage.file("blob", bytes), bytes.size());
  const std::weak_ptr<GrowingContent> watched = content;
  response = range_of(content, 10, bytes.size() - 10);
  auto wire = stage.connect();
  wire.send(get("/"));
  stage.until([&] { return content->waiting == 1; });

  SECTION("as it comes, however long that takes") {
    stage.run(stage.clock->sleep(4 * stage.options.body_timeout));
    content->release(1 * MiB);
    std::string got = wire.bytes(100);
    CHECK(got.starts_with("HTTP/1.1 200 OK\r\n"));
    got += wire.bytes(512 * KiB);
    content->release(bytes.size());
    got += wire.bytes(got.find("\r\n\r\n") + 4 + bytes.size() - 10 - got.size());
    CHECK(got.substr(got.find("\r\n\r\n") + 4) == bytes.substr(10));
    CHECK(wire.send(get("/")).response().body == "next");
  }
  SECTION("a request sent ahead while the content is late is answered after it") {
    wire.send(get("/"));
    content->release(bytes.size());
    CHECK(wire.response().body == bytes.substr(10));
    CHECK(wire.response().body == "next");
  }
  SECTION("content that fails cuts the connection") {
    content->release(1 * MiB);
    content->fail_with(Error{Errc::corrupt, "digest does not match"});
    const auto got = wire.response();
    CHECK(got.status == 0);
    CHECK(got.body == bytes.substr(10, 1 * MiB - 10));
  }
  SECTION("a client that leaves while the content is late releases it") {
    content.reset();
    wire.leave();
    stage.until([&] { return watched.expired(); });
  }
  SECTION("a client that leaves in the middle releases it") {
    content->release(bytes.size());
    content.reset();
    wire.bytes(1000);
    wire.leave();
    stage.until([&] { return watched.expired(); });
  }
  SECTION("a client that stops reading is given up") {
    content->release(bytes.size());
    content.reset();
    stage.until([&] { return watched.expired(); });
    CHECK(wire.response().status == 0);
  }
  SECTION("a server that stops releases it") {
    content.reset();
    stage.run(stage.server->stop(0s));
    CHECK(watched.expired());
  }
}

void server_answers_instead_of_late_content(const ServerFactory& make) {
  Response response;
  ServerStage stage(make);
  stage.serve([&response](Request& /*request*/) -> Task<Response> {
    co_return std::exchange(response, text_response(200, "next"));
  });
  const auto bytes = pattern(1 * MiB);
  auto content = std::make_shared<GrowingContent>(stage.loop, stage.file("blob", bytes), bytes.size());
  const std::weak_ptr<GrowingContent> watched = content;
  response = range_of(content, 0, bytes.size());
  response.unless_ready = [](const Error& error) { return text_response(503, error.message); };
  auto wire = stage.connect();
  wire.send(get("/"));
  stage.until([&] { return content->waiting == 1; });

  SECTION("when its first byte cannot come; the connection goes on") {
    content->fail_with(Error{Errc::unavailable, "nobody has it"});
    const auto got = wire.response();
    CHECK(got.status == 503);
    CHECK(got.body == "nobody has it");
    CHECK(wire.send(get("/")).response().body == "next");
  }
  SECTION("not when it comes") {
    content->release(bytes.size());
    const auto got = wire.response();
    CHECK(got.status == 200);
    CHECK(got.body == bytes);
  }
  SECTION("a client that leaves before releases it") {
    content.reset();
    wire.leave();
    stage.until([&] { return watched.expired(); });
  }
}

}  // namespace krakend::http::test
