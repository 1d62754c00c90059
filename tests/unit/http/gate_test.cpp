#include "http/gate.h"

#include "server_stage.h"

namespace krakend::http::test {
namespace {

std::vector<io::AddressRange> ranges(std::initializer_list<std::string_view> texts) {
  std::vector<io::AddressRange> all;
  for (const auto text : texts) all.push_back(*io::AddressRange::parse(text));
  return all;
}

class NoBody final : public RequestBody {
 public:
  std::optional<uint64_t> length() const override { return 0; }
  Task<Result<uint64_t>> read_to(io::ByteSink& /*sink*/, uint64_t /*limit*/) override { co_return 0; }
};

/// The status of the refusal; 0: none.
int verdict(const char* method, const char* from, io::PeerSecurity peer) {
  const ListenOptions options;
  Gate gate(options);
  NoBody body;
  Request request;
  request.method = method;
  request.path = "/health";
  request.peer = {from, 1};
  request.body = &body;
  const auto refused = gate.refuse(request, peer, TimePoint{});
  return refused ? refused->status : 0;
}

}  // namespace

TEST_CASE("gate: client certificates by method and address") {
  using Certificate = io::PeerSecurity::Certificate;
  const io::PeerSecurity plain;
  const io::PeerSecurity none{true, false, Certificate::none, {}};
  const io::PeerSecurity valid{true, false, Certificate::valid, {}};
  const io::PeerSecurity invalid{true, false, Certificate::invalid, "expired"};
  for (const char* method : {"GET", "HEAD"}) {
    CHECK(verdict(method, "10.0.0.1", none) == 0);
    CHECK(verdict(method, "10.0.0.1", invalid) == 400);
    CHECK(verdict(method, "127.0.0.1", invalid) == 400);
  }
  for (const char* method : {"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get"}) {
    INFO(method);
    CHECK(verdict(method, "10.0.0.1", plain) == 0);
    CHECK(verdict(method, "10.0.0.1", valid) == 0);
    CHECK(verdict(method, "10.0.0.1", none) == 403);
    CHECK(verdict(method, "127.0.0.2", none) == 403);
    CHECK(verdict(method, "127.0.0.1", none) == 0);
    CHECK(verdict(method, "::1", none) == 0);
    CHECK(verdict(method, "127.0.0.1", invalid) == 400);
  }
}

TEST_CASE("gate: rates are those of a leaky bucket") {
  // nginx: rate=100r/s burst=20 nodelay lets 21 calls pass at once, and then one each 10 ms.
  RateCounter counter({"/proxy", 100, 20});
  const TimePoint start{};
  int passed = 0;
  for (int i = 0; i < 50; ++i) passed += counter.admit("10.0.0.1", start) ? 1 : 0;
  CHECK(passed == 21);
  CHECK(counter.admit("10.0.0.2", start));
  CHECK_FALSE(counter.admit("10.0.0.1", start + 9ms));
  CHECK(counter.admit("10.0.0.1", start + 10ms));
  CHECK_FALSE(counter.admit("10.0.0.1", start + 10ms));
  passed = 0;
  for (int i = 0; i < 50; ++i) passed += counter.admit("10.0.0.1", start + 10s) ? 1 : 0;
  CHECK(passed == 21);
}

TEST_CASE("gate: the addresses remembered are limited") {
  RateLimit limit{"/", 1, 0};
  limit.max_addresses = 2;
  RateCounter counter(limit);
  const TimePoint start{};
  CHECK(counter.admit("a", start));
  CHECK(counter.admit("b", start + 100ms));
  // The one that could call again first goes.
  CHECK(counter.admit("c", start + 200ms));
  CHECK_FALSE(counter.admit("b", start + 300ms));
  CHECK_FALSE(counter.admit("c", start + 300ms));
}

TEST_CASE("gate: rates count by prefix and address") {
  ServerStage stage([](Stage& at) { return make_server(at.loop, *at.clock, *at.net, Logger()); });
  stage.options.rates = {{"/proxy", 0.001, 1}};
  stage.serve(say_ok);
  CHECK(stage.ask(get("/proxy/a")).status == 200);
  CHECK(stage.ask(get("/proxy/b")).status == 200);
  CHECK(stage.ask(get("/proxy/a")).status == 429);
  CHECK(stage.ask(get("/other")).status == 200);
}

TEST_CASE("gate: only allowed addresses, whatever they ask for") {
  ServerStage stage([](Stage& at) { return make_server(at.loop, *at.clock, *at.net, Logger()); });
  SECTION("none is allowed") {
    stage.options.allowed.emplace();
    stage.serve(say_ok);
    CHECK(stage.ask(get("/health")).status == 403);
  }
  SECTION("others are allowed") {
    stage.options.allowed = ranges({"10.0.0.0/8", "fd00::/8"});
    stage.serve(say_ok);
    CHECK(stage.ask(get("/")).status == 403);
  }
  SECTION("this one is allowed, by address or block") {
    stage.options.allowed = ranges({"10.1.2.3", "127.0.0.0/8"});
    stage.serve(say_ok);
    CHECK(stage.ask(get("/")).status == 200);
  }
}

TEST_CASE("gate: bodies larger than allowed") {
  ServerStage stage([](Stage& at) { return make_server(at.loop, *at.clock, *at.net, Logger()); });
  stage.options.max_body = 10;
  stage.serve(echo);
  CHECK(stage.ask("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n0123456789").body == "0123456789");
  const auto refused = stage.ask("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n0123456789a");
  CHECK(refused.status == 413);
  CHECK_THAT(refused.body, Catch::Matchers::Contains("larger than 10"));
  // Nobody is asked to send what will not be taken.
  const auto early =
      stage.ask("PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 99999999999\r\n\r\n");
  CHECK(early.status == 413);
  const std::string chunked = "PUT / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  CHECK(stage.ask(chunked + "a\r\n0123456789\r\n0\r\n\r\n").body == "0123456789");
  CHECK(stage.ask(chunked + "b\r\n0123456789a\r\n0\r\n\r\n").status == 413);
}

}  // namespace krakend::http::test
