#include "krakend/api/clients.h"
#include "support/catch.h"
#include "support/fake_client.h"
#include "support/fake_clock.h"
#include "support/run.h"
#include "support/seeded_random.h"

using namespace krakend;
using test::answer;

namespace {

const Digest digest = *Digest::parse_hex("d90d6a77cd682e0e3cc638c642d9b701dfe44572b8f1d0f3ce4ee35c0d3f0919");

struct Fixture {
  io::Loop loop;
  test::FakeClock clock;
  test::SeededRandom random{12};
  test::FakeClient http;
  api::TagClient tags{http, clock, random, {"127.0.0.1:15301"}};
  const std::string host = "127.0.0.1:15301";

  void reply(http::ClientResponse response) {
    http.reply([response = std::move(response)](const http::ClientRequest&) { return response; });
  }
};

}  // namespace

TEST_CASE("get a tag: the bare digest") {
  Fixture f;
  f.reply(answer(200, digest.str()));
  CHECK(*test::run(f.loop, f.tags.get("lib/cap1:v1")) == digest);
  CHECK(f.http.calls[0] == "GET " + f.host + "/tags/lib%2Fcap1:v1");
  CHECK(f.http.requests[0].total_timeout == 10s);
  f.reply(answer(404));
  CHECK(test::run(f.loop, f.tags.get("lib/none:v1")).error().code == Errc::not_found);
  f.reply(answer(200, "nonsense"));
  CHECK(test::run(f.loop, f.tags.get("lib/odd:v1")).error().code == Errc::protocol);
}

TEST_CASE("put a tag, with and without replication") {
  Fixture f;
  f.reply(answer(200));
  REQUIRE(test::run(f.loop, f.tags.put("drv/repo:v1", digest, false)));
  REQUIRE(test::run(f.loop, f.tags.put("lib/cap1:v1", digest, true)));
  CHECK(f.http.calls[0] == "PUT " + f.host + "/tags/drv%2Frepo:v1/digest/" + digest.str());
  CHECK(f.http.calls[1] ==
        "PUT " + f.host + "/tags/lib%2Fcap1:v1/digest/" + digest.str() + "?replicate=true");
  f.reply(answer(201));
  CHECK_FALSE(test::run(f.loop, f.tags.put("lib/cap1:v1", digest, true)));
}

TEST_CASE("what a build-index asks one of another cluster") {
  Fixture f;
  f.reply(answer(200, "origin:15002"));
  CHECK(*test::run(f.loop, f.tags.has("lib/a:v1")));
  CHECK(*test::run(f.loop, f.tags.origin()) == "origin:15002");
  CHECK(f.http.calls ==
        std::vector<std::string>{"HEAD " + f.host + "/tags/lib%2Fa:v1", "GET " + f.host + "/origin"});
  f.reply(answer(404));
  CHECK_FALSE(*test::run(f.loop, f.tags.has("lib/a:v1")));
  f.reply(answer(200, "no address"));
  CHECK(test::run(f.loop, f.tags.origin()).error().code == Errc::protocol);
  f.reply(answer(503));
  CHECK(api::is_away(test::run(f.loop, f.tags.has("lib/a:v1")).error()));
  f.reply(answer(500));
  CHECK_FALSE(api::is_away(test::run(f.loop, f.tags.has("lib/a:v1")).error()));
}

TEST_CASE("a tag of another cluster says so, and whether it only fills a gap") {
  Fixture f;
  f.reply(answer(200));
  REQUIRE(test::run(f.loop, f.tags.put_forwarded("lib/a:v1", digest, false)));
  REQUIRE(test::run(f.loop, f.tags.put_forwarded("lib/a:v1", digest, true)));
  CHECK(f.http.calls[1] == "PUT " + f.host + "/tags/lib%2Fa:v1/digest/" + digest.str() + "?replicate=true");
  CHECK(f.http.requests[0].headers.has(api::forwarded_header));
  CHECK_FALSE(f.http.requests[0].headers.has("If-None-Match"));
  CHECK(f.http.requests[1].headers.get("If-None-Match") == "*");
  f.reply(answer(412));
  CHECK(test::run(f.loop, f.tags.put_forwarded("lib/a:v1", digest, true)).error().code ==
        Errc::already_exists);
}

TEST_CASE("duplicates among build-indexes are tried three times while the other one is away") {
  Fixture f;
  f.reply(answer(503));
  CHECK_FALSE(test::run(f.loop, f.tags.duplicate_put("lib/a:v1", digest, 20min)));
  CHECK(f.http.requests.size() == 3);
  CHECK(std::get<std::string>(f.http.requests[2].body) == R"({"delay":1200000000000})");
  CHECK(f.clock.pauses == std::vector<Duration>{250ms, 250ms});
  f.http.requests.clear();
  f.reply(answer(500));
  CHECK_FALSE(test::run(f.loop, f.tags.duplicate_replicate("lib/a:v1", digest, {digest}, 1s, true)));
  CHECK(f.http.requests.size() == 1);
  CHECK(std::get<std::string>(f.http.requests[0].body) ==
        R"({"delay":1000000000,"dependencies":[")" + digest.str() + R"("]})");
  CHECK(f.http.requests[0].headers.has(api::forwarded_header));
}

TEST_CASE("delete a tag: only 202 says that it is gone") {
  Fixture f;
  f.reply(answer(202));
  REQUIRE(test::run(f.loop, f.tags.remove("lib/cap1:v1")));
  CHECK(f.http.calls[0] == "DELETE " + f.host + "/tags/lib%2Fcap1:v1");
  f.reply(answer(404));
  CHECK(test::run(f.loop, f.tags.remove("lib/cap1:v1")).error().code == Errc::not_found);
  f.reply(answer(405));  // of a reference build-index
  CHECK_FALSE(test::run(f.loop, f.tags.remove("lib/cap1:v1")));
}

TEST_CASE("list keeps the slashes of the prefix, double ones too") {
  Fixture f;
  f.reply(
      answer(200,
             "{\"Links\":{\"next\":\"\",\"self\":\"/list//lib/cap1/_manifests/tags\"},\"size\":1,\"result\":"
             "[\"lib/cap1:v1\"]}\n"));
  const auto names = test::run(f.loop, f.tags.list("/lib/cap1/_manifests/tags"));
  REQUIRE(names);
  CHECK(*names == std::vector<std::string>{"lib/cap1:v1"});
  CHECK(f.http.calls[0] == "GET " + f.host + "/list//lib/cap1/_manifests/tags");
  test::run(f.loop, f.tags.list(""));
  CHECK(f.http.calls[1] == "GET " + f.host + "/list/");
}

TEST_CASE("list follows the next link until it is empty") {
  Fixture f;
  f.http.reply([](const http::ClientRequest& request) -> Result<http::ClientResponse> {
    if (request.target == "/list/lib")
      return answer(200,
                    R"({"Links":{"next":"/list/lib?limit=2\u0026offset=lib%2Fb%3Av%2B1","self":""},"size":1,)"
                    R"("result":["lib/b:v+1"]})");
    if (request.target == "/list/lib?offset=lib%2Fb:v%2B1" ||
        request.target == "/list/lib?offset=lib%2Fb:v+1")
      return answer(200, R"({"Links":{"next":"","self":""},"size":1,"result":["lib/c:v1"]})");
    return answer(500);
  });
  const auto names = test::run(f.loop, f.tags.list("lib"));
  REQUIRE(names);
  CHECK(*names == std::vector<std::string>{"lib/b:v+1", "lib/c:v1"});
  // '+' would be read as a space in a query.
  CHECK(f.http.calls[1].ends_with("?offset=lib%2Fb:v%2B1"));
}

TEST_CASE("a list that never ends, or is none, is an error") {
  Fixture f;
  f.reply(answer(200, R"({"Links":{"next":"/list/?offset=x","self":""},"size":0,"result":null})"));
  CHECK(test::run(f.loop, f.tags.list("")).error().code == Errc::protocol);
  f.reply(answer(200, "no json"));
  CHECK(test::run(f.loop, f.tags.list("")).error().code == Errc::protocol);
  f.reply(answer(200, R"({"Links":{"next":"","self":""},"size":1,"result":[7]})"));
  CHECK(test::run(f.loop, f.tags.list("")).error().code == Errc::protocol);
}

TEST_CASE("the next build-index is asked on a network error only") {
  Fixture f;
  api::TagClient tags(f.http, f.clock, f.random, {"a:1", "b:1"});
  f.http.reply([](const http::ClientRequest& request) -> Result<http::ClientResponse> {
    if (request.host.host == "a") return fail(Errc::network, "connection refused");
    return answer(200, digest.str());
  });
  for (int round = 0; round < 8; ++round) CHECK(*test::run(f.loop, tags.get("x:y")) == digest);
  // After three failures a is left alone.
  int tries = 0;
  for (const auto& request : f.http.requests) tries += request.host.host == "a" ? 1 : 0;
  CHECK(tries <= 3);
  CHECK(tries > 0);
  f.http.requests.clear();
  f.reply(answer(500));
  CHECK(test::run(f.loop, tags.get("x:y")).error().http_status == 500);
  CHECK(f.http.requests.size() == 1);
}
