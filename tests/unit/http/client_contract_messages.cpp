#include "client_contract.h"

namespace krakend::http::test {
namespace {

constexpr const char* ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

std::string first_line(const std::string& request) {
  return request.substr(0, request.find("\r\n"));
}
std::string body_of(const std::string& request) {
  return request.substr(request.find("\r\n\r\n") + 4);
}

/// The answer to one request over a connection that then ends.
ScriptedPeer::Script once(std::string answer) {
  struct Once {
    static Task<> speak(ScriptedPeer& peer, io::StreamPtr stream, std::string text) {
      co_await peer.read_request(stream);
      co_await ScriptedPeer::say(stream, text);
    }
  };
  return [answer = std::move(answer)](ScriptedPeer& peer, io::StreamPtr stream) {
    return Once::speak(peer, std::move(stream), answer);
  };
}

}  // namespace

void client_sends_requests(const ClientFactory& make) {
  ClientStage stage(make);
  ScriptedPeer peer(stage, ScriptedPeer::always(ok));

  SECTION("the target as it is given") {
    for (const char* target : {"/tags/a%252Fb%253Ac", "/list//repo", "/a%2Fb%3Ac/", "/x?y=%20+z&&q=a%26b",
                               "//", "/a:b@c$&+=~-_.,;!*'()"}) {
      REQUIRE(stage.get(peer, target));
      CHECK(first_line(peer.requests.back()) == fmt::format("GET {} HTTP/1.1", target));
    }
  }
  SECTION("headers") {
    auto request = ClientStage::request("GET", peer);
    request.headers = {{"Range", "bytes=1-2"}, {"Accept", "a/b"}, {"X-Escaped", "%41%0d"}};
    REQUIRE(stage.send(request));
    CHECK(peer.requests.back().find("\r\nRange: bytes=1-2\r\n") != std::string::npos);
    CHECK(peer.requests.back().find("\r\nAccept: a/b\r\n") != std::string::npos);
    CHECK(peer.requests.back().find("\r\nX-Escaped: %41%0d\r\n") != std::string::npos);
    CHECK(peer.requests.back().find("\r\nHost: " + peer.address().str() + "\r\n") != std::string::npos);
    CHECK(peer.requests.back().find("Accept-Encoding") == std::string::npos);
  }
  SECTION("nothing that would be another request") {
    for (const char* target : {"", "a", "/a b", "/a\r\nX: y", "/a#b"}) {
      INFO(target);
      CHECK(stage.get(peer, target).error().code == Errc::invalid_argument);
    }
    auto request = ClientStage::request("GET", peer);
    request.headers = {{"X", "a\r\nY: b"}};
    CHECK(stage.send(request).error().code == Errc::invalid_argument);
    CHECK(stage.send(ClientStage::request("GET /x", peer)).error().code == Errc::invalid_argument);
    CHECK(peer.accepted == 0);
  }
  SECTION("text as a body") {
    for (const char* method : {"POST", "PUT", "PATCH", "GET", "DELETE"}) {
      auto request = ClientStage::request(method, peer);
      request.body = std::string("body\r\n");
      REQUIRE(stage.send(request));
      CHECK(body_of(peer.requests.back()) == "body\r\n");
    }
    REQUIRE(stage.send(ClientStage::request("POST", peer)));
    CHECK(peer.requests.back().find("Content-Length: 0\r\n") != std::string::npos);
  }
  SECTION("a part of a file as a body") {
    const auto bytes = pattern(3 * MiB);
    auto request = ClientStage::request("PATCH", peer);
    const auto file = stage.file("f", bytes);
    request.body = FileRange{file, 1000, 2 * MiB + 1};
    REQUIRE(stage.send(request));
    CHECK(body_of(peer.requests.back()) == bytes.substr(1000, 2 * MiB + 1));
    request.body = FileRange{file, 5, 0};
    REQUIRE(stage.send(request));
    CHECK(peer.requests.back().find("Content-Length: 0\r\n") != std::string::npos);
    request.body = FileRange{file, bytes.size() - 10, 11};
    CHECK(stage.send(request).error().code == Errc::io);
  }
}

void client_takes_answers(const ClientFactory& make) {
  ClientStage stage(make);

  SECTION("of any status, as text") {
    for (const int status : {200, 202, 301, 307, 401, 404, 416, 500, 503}) {
      ScriptedPeer peer(
          stage, ScriptedPeer::always(fmt::format(
                     "HTTP/1.1 {} X\r\nLocation: /elsewhere\r\nContent-Length: 4\r\n\r\nbody", status)));
      const auto response = stage.get(peer);
      REQUIRE(response);
      CHECK(response->status == status);
      CHECK(response->body == "body");
      CHECK(response->headers.get("location") == "/elsewhere");
      CHECK(peer.requests.size() == 1);
    }
  }
  SECTION("200 and 206 into the sink, others as text") {
    for (const int status : {200, 206, 404}) {
      ScriptedPeer peer(
          stage, ScriptedPeer::always(fmt::format("HTTP/1.1 {} X\r\nContent-Length: 4\r\n\r\nbody", status)));
      RecordingSink sink;
      auto request = ClientStage::request("GET", peer);
      request.sink = &sink;
      const auto response = stage.send(request);
      REQUIRE(response);
      CHECK(sink.text == (status == 404 ? "" : "body"));
      CHECK(response->body == (status == 404 ? "body" : ""));
    }
  }
  SECTION("chunked, until the end of the connection, behind 100 Continue") {
    ScriptedPeer chunked(
        stage, ScriptedPeer::always(
                   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"));
    CHECK(stage.get(chunked)->body == "abcde");
    CHECK(stage.get(chunked)->body == "abcde");
    CHECK(chunked.accepted == 1);
    ScriptedPeer endless(stage, once("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabcde"));
    CHECK(stage.get(endless)->body == "abcde");
    ScriptedPeer interim(stage, ScriptedPeer::always(std::string("HTTP/1.1 100 Continue\r\n\r\n") + ok));
    CHECK(stage.get(interim)->body == "ok");
  }
  SECTION("without a body") {
    for (const char* answer : {"HTTP/1.1 204 No Content\r\n\r\n", "HTTP/1.1 304 Not Modified\r\n\r\n"}) {
      INFO(answer);
      ScriptedPeer peer(stage, ScriptedPeer::always(answer));
      auto request = ClientStage::request("GET", peer);
      request.idle_timeout = 500ms;
      const auto response = stage.send(request);
      REQUIRE(response);
      CHECK(response->body.empty());
    }
    ScriptedPeer peer(stage, ScriptedPeer::always("HTTP/1.1 200 OK\r\nContent-Length: 123456789012\r\n\r\n"));
    const auto head = stage.send(ClientStage::request("HEAD", peer));
    REQUIRE(head);
    CHECK(head->headers.get("Content-Length") == "123456789012");
    CHECK(stage.send(ClientStage::request("HEAD", peer)));
    CHECK(peer.accepted == 1);
  }
  SECTION("still encoded") {
    ScriptedPeer peer(
        stage, ScriptedPeer::always(
                   "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8bzz"));
    CHECK(stage.get(peer)->body == "\x1f\x8bzz");
  }
}

void client_reports_failures(const ClientFactory& make) {
  ClientStage stage(make);

  SECTION("nobody listens") {
    std::optional<ScriptedPeer> peer(std::in_place, stage, ScriptedPeer::always(ok));
    auto request = ClientStage::request("GET", *peer, "/path");
    peer.reset();
    const auto response = stage.send(request);
    REQUIRE_FALSE(response);
    CHECK(response.error().code == Errc::network);
    CHECK(response.error().message.starts_with("GET " + request.host.str() + "/path: "));
  }
  SECTION("answers that are none, or end early") {
    for (const char* answer : {"", "garbage\r\n\r\n", "HTTP/1.1 200", "HTTP/1.1 200 OK\r\nContent-Le",
                               "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
                               "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
                               "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"}) {
      INFO(answer);
      ScriptedPeer peer(stage, once(answer));
      RecordingSink sink;
      auto request = ClientStage::request("GET", peer);
      request.sink = &sink;
      const auto response = stage.send(request);
      REQUIRE_FALSE(response);
      CHECK(response.error().code == Errc::network);
      CHECK(peer.accepted == 1);
    }
  }
  SECTION("a sink that fails") {
    ScriptedPeer peer(stage, ScriptedPeer::always("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" +
                                                  std::string(100'000, 'x')));
    RecordingSink sink;
    sink.fail_after = 50'000;
    auto request = ClientStage::request("GET", peer);
    request.sink = &sink;
    CHECK(stage.send(request).error().code == Errc::no_space);
  }
  SECTION("more text than asked for") {
    ScriptedPeer peer(stage, ScriptedPeer::always("HTTP/1.1 500 X\r\nContent-Length: 11\r\n\r\n0123456789a"));
    auto request = ClientStage::request("GET", peer);
    request.max_text = 11;
    CHECK(stage.send(request));
    request.max_text = 10;
    CHECK(stage.send(request).error().code == Errc::too_large);
  }
}

}  // namespace krakend::http::test
