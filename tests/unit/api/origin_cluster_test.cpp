#include <algorithm>
#include <map>

#include "krakend/api/clients.h"
#include "krakend/io/condition.h"
#include "support/catch.h"
#include "support/fake_client.h"
#include "support/fake_clock.h"
#include "support/run.h"
#include "support/seeded_random.h"

using namespace krakend;
using test::answer;

namespace {

const Digest digest = *Digest::parse_hex("23dd464417d01f15d97d48244dbe893ef8d30dc77ba2f0178bc0a5b7838650a4");
const std::string metainfo_json =
    R"({"Info":{"PieceLength":5,"PieceSums":[907060870,439875091,4082745666],)"
    R"("Name":"23dd464417d01f15d97d48244dbe893ef8d30dc77ba2f0178bc0a5b7838650a4","Length":12}})";

bool ends_with(const http::ClientRequest& request, std::string_view end) {
  return request.target.ends_with(end);
}

/// Origins a, b, c own every digest in this order; what else they answer is scripted by host.
struct Fixture {
  io::Loop loop;
  test::FakeClock clock;
  test::SeededRandom random{11};
  test::FakeClient http;
  api::OriginCluster cluster{{loop, http, clock, random}, {"a:1", "b:1", "c:1"}, Logger()};
  std::map<std::string, std::vector<Result<http::ClientResponse>>> script;

  Fixture() {
    http.reply([this](const http::ClientRequest& request) { return respond(request); });
  }
  ~Fixture() { test::run(loop, cluster.stop()); }

  Result<http::ClientResponse> respond(const http::ClientRequest& request) {
    if (ends_with(request, "/locations")) return answer(200, "", {{"Origin-Locations", "a:1,b:1,c:1"}});
    auto& answers = script[request.host.host];
    if (answers.empty()) return answer(500, "unscripted");
    auto next = answers.front();
    if (answers.size() > 1) answers.erase(answers.begin());
    return next;
  }
  void host(const std::string& name, std::vector<Result<http::ClientResponse>> answers) {
    script[name] = std::move(answers);
  }
  /// Hosts asked for something else than locations, in order.
  std::string asked() const {
    std::string out;
    for (const auto& request : http.requests)
      if (!ends_with(request, "/locations")) out += request.host.host;
    return out;
  }
  size_t location_requests() const {
    return static_cast<size_t>(std::count_if(http.requests.begin(), http.requests.end(),
                                             [](const auto& r) { return ends_with(r, "/locations"); }));
  }
  Result<void> download(std::string& out) {
    test::TextSink sink;
    int attempts = 0;
    std::function<Result<io::ByteSink*>()> restart = [&]() -> Result<io::ByteSink*> {
      ++attempts;
      sink.text.clear();
      return &sink;
    };
    auto done = test::run(loop, cluster.download("lib/x", digest, restart));
    out = sink.text;
    return done;
  }
};

Result<http::ClientResponse> refused() {
  return fail(Errc::network, "connection refused");
}

}  // namespace

TEST_CASE("locations are asked of any origin and kept for 10 s per shard") {
  Fixture f;
  const auto found = test::run(f.loop, f.cluster.locations(digest));
  REQUIRE(found);
  CHECK(*found == std::vector<std::string>{"a:1", "b:1", "c:1"});
  test::run(f.loop, f.cluster.locations(digest));
  CHECK(f.location_requests() == 1);
  const Digest same_shard = *Digest::parse_hex("23dd" + std::string(60, '0'));
  test::run(f.loop, f.cluster.locations(same_shard));
  CHECK(f.location_requests() == 1);
  f.clock.advance(10s);
  test::run(f.loop, f.cluster.locations(digest));
  CHECK(f.location_requests() == 2);
}

TEST_CASE("all origins are tried for locations; the failure is no HTTP status and kept for 1 s") {
  Fixture f;
  f.http.reply([](const http::ClientRequest& request) -> Result<http::ClientResponse> {
    if (request.host.host == "b") return refused();
    return answer(404);
  });
  const auto found = test::run(f.loop, f.cluster.locations(digest));
  REQUIRE_FALSE(found);
  CHECK(found.error().http_status == 0);
  CHECK(f.location_requests() == 3);
  test::run(f.loop, f.cluster.locations(digest));
  CHECK(f.location_requests() == 3);
  f.clock.advance(1s);
  test::run(f.loop, f.cluster.locations(digest));
  CHECK(f.location_requests() == 6);
}

TEST_CASE("stat tries every owner on any error") {
  Fixture f;
  f.host("a", {answer(404)});
  f.host("b", {refused()});
  f.host("c", {answer(200, "", {{"Content-Length", "7"}})});
  for (int round = 0; round < 10; ++round) CHECK(*test::run(f.loop, f.cluster.stat("x", digest)) == 7);
}

TEST_CASE("metainfo goes past errors in ring order and stops at 200 or 202") {
  Fixture f;
  f.host("a", {answer(404)});
  f.host("b", {answer(202)});
  CHECK(test::run(f.loop, f.cluster.metainfo("x", digest)).error().code == Errc::pending);
  CHECK(f.asked() == "ab");
  CHECK(f.clock.pauses.empty());  // pending is passed on, not waited for
  f.host("a", {answer(503)});
  f.host("b", {answer(200, metainfo_json)});
  CHECK(test::run(f.loop, f.cluster.metainfo("x", digest)));
  f.host("b", {refused()});
  f.host("c", {answer(404)});
  CHECK(test::run(f.loop, f.cluster.metainfo("x", digest)).error().http_status == 404);
}

TEST_CASE("prefetch asks in ring order; the first that has it or begins is enough, and 404 is final") {
  Fixture f;
  f.host("a", {answer(503)});
  f.host("b", {answer(202)});
  CHECK(test::run(f.loop, f.cluster.prefetch("x", digest)));
  CHECK(f.asked() == "ab");
  f.host("a", {answer(200)});
  CHECK(test::run(f.loop, f.cluster.prefetch("x", digest)));
  CHECK(f.asked() == "aba");
  f.host("a", {answer(404)});
  CHECK(test::run(f.loop, f.cluster.prefetch("x", digest)).error().code == Errc::not_found);
  CHECK(f.asked() == "abaa");
  f.host("a", {refused()});
  f.host("b", {answer(500)});
  f.host("c", {refused()});
  CHECK(test::run(f.loop, f.cluster.prefetch("x", digest)).error().code == Errc::network);
}

TEST_CASE("a copy to another cluster is polled at one owner; the next one only after a failure of that one") {
  Fixture f;
  const auto replicate = [&f] {
    return test::run(f.loop, f.cluster.replicate("lib/a:v1", digest, "there.example:15002"));
  };
  f.host("a", {answer(500), answer(202)});
  f.host("b", {answer(202), answer(202), answer(200)});
  CHECK(replicate());
  CHECK(f.asked() == "abbb");
  CHECK(f.clock.pauses.size() == 2);
  CHECK(f.http.calls.back() ==
        "POST b:1/namespace/lib%2Fa:v1/blobs/" + digest.str() + "/remote/there.example:15002");
  f.http.requests.clear();
  f.host("a", {answer(404)});
  CHECK(replicate().error().code == Errc::not_found);
  CHECK(f.asked() == "a");
  f.http.requests.clear();
  // For 15 min, then the next owner.
  f.host("a", {answer(202)});
  f.host("b", {answer(200)});
  const TimePoint before = f.clock.now();
  CHECK(replicate());
  CHECK(f.clock.now() - before > 14min);
  CHECK(f.asked().ends_with("ab"));
}

TEST_CASE("download polls 202 on one origin with growing pauses") {
  Fixture f;
  f.host("a", {answer(202), answer(202), answer(202), answer(200, "hello kraken")});
  std::string text;
  REQUIRE(f.download(text));
  CHECK(text == "hello kraken");
  CHECK(f.asked() == "aaaa");
  REQUIRE(f.clock.pauses.size() == 3);
  const double expected[] = {1.0, 1.3, 1.69};
  for (size_t i = 0; i < 3; ++i) {
    CHECK(to_seconds(f.clock.pauses[i]) > expected[i] * 0.949);
    CHECK(to_seconds(f.clock.pauses[i]) < expected[i] * 1.051);
  }
}

TEST_CASE("download gives an origin up after 15 min of 202") {
  Fixture f;
  f.host("a", {answer(202)});
  f.host("b", {answer(200, "x")});
  std::string text;
  REQUIRE(f.download(text));
  CHECK(f.asked().back() == 'b');
  Duration slept{};
  for (const Duration pause : f.clock.pauses) {
    CHECK(pause <= 5250ms);
    slept += pause;
  }
  CHECK(slept > 14min);
  CHECK(slept <= 15min);
}

TEST_CASE("download: a status below 500 is final, others and broken bodies go on to the next origin") {
  Fixture f;
  f.host("a", {answer(404)});
  std::string text;
  CHECK(f.download(text).error().code == Errc::not_found);
  CHECK(f.asked() == "a");
  f.host("a", {answer(503)});
  f.host("b", {refused()});
  f.host("c", {answer(200, "bytes")});
  REQUIRE(f.download(text));
  CHECK(text == "bytes");
  CHECK(f.asked() == "aabc");
  f.host("c", {answer(500)});
  const auto all_failed = f.download(text);
  REQUIRE_FALSE(all_failed);
  CHECK(all_failed.error().http_status == 0);
}

TEST_CASE("download starts the sink anew for each origin") {
  Fixture f;
  const auto broken = [&f](http::ClientRequest request) -> Task<Result<http::ClientResponse>> {
    if (request.sink == nullptr || request.host.host != "a") co_return f.respond(request);
    (void)request.sink->write(as_bytes("half of it"));
    co_return fail(Errc::network, "connection reset");
  };
  f.http.answer = broken;
  f.host("b", {answer(200, "all of it")});
  std::string text;
  REQUIRE(f.download(text));
  CHECK(text == "all of it");
}

TEST_CASE("upload starts over on the next origin after a network error or a retryable status") {
  const http::ClientResponse started = answer(200, "", {{"Location", "u"}});
  for (const int status : {429, 502, 503, 504}) {
    CAPTURE(status);
    Fixture f;
    f.host("a", {started, answer(status)});
    f.host("b", {refused()});
    f.host("c", {started, answer(200), answer(200)});
    CHECK(test::run(f.loop, f.cluster.upload("TODO", digest, nullptr, 12)));
    CHECK(f.asked() == "aabccc");
  }
  for (const int status : {400, 404, 500}) {
    CAPTURE(status);
    Fixture f;
    f.host("a", {started, answer(status)});
    f.host("b", {started, answer(200), answer(200)});
    CHECK_FALSE(test::run(f.loop, f.cluster.upload("TODO", digest, nullptr, 12)));
    CHECK(f.asked() == "aa");
  }
}

TEST_CASE("peers: the contexts of all owners are fetched at the same time") {
  Fixture f;
  io::Condition all_asked(f.loop);
  int asked = 0;
  const auto blocking = [&](http::ClientRequest request) -> Task<Result<http::ClientResponse>> {
    if (ends_with(request, "/locations")) co_return f.respond(request);
    ++asked;
    all_asked.notify_all();
    while (asked < 3) co_await all_asked.wait();
    if (request.host.host == "b") co_return refused();
    const PeerContext context{
        request.host.host, 15001, addr_hash_peer_id(request.host.host, 15001), "z", "c", true};
    co_return answer(200, context.json() + "\n");
  };
  f.http.answer = blocking;
  const auto peers = test::run(f.loop, f.cluster.peers(digest));
  REQUIRE(peers);
  REQUIRE(peers->size() == 2);  // b is left out
  CHECK((*peers)[0] == PeerInfo{addr_hash_peer_id("a", 15001), "a", 15001, true, true});
  CHECK((*peers)[1].ip == "c");

  SECTION("contexts are kept 10 s, failures 3 s") {
    f.clock.advance(2s);
    test::run(f.loop, f.cluster.peers(digest));
    CHECK(asked == 3);
    f.clock.advance(2s);
    test::run(f.loop, f.cluster.peers(digest));
    CHECK(asked == 4);  // b
    f.clock.advance(7s);
    test::run(f.loop, f.cluster.peers(digest));
    CHECK(asked == 7);
  }
}

TEST_CASE("peers fails when no owner tells its context") {
  Fixture f;
  for (const char* name : {"a", "b", "c"}) f.host(name, {answer(500)});
  CHECK_FALSE(test::run(f.loop, f.cluster.peers(digest)));
}

TEST_CASE("concurrent lookups of one shard are one request") {
  Fixture f;
  io::TaskGroup tasks(f.loop);
  io::Condition gate(f.loop);
  bool open = false;
  int found = 0;
  const auto gated = [&](http::ClientRequest request) -> Task<Result<http::ClientResponse>> {
    while (!open) co_await gate.wait();
    co_return f.respond(request);
  };
  f.http.answer = gated;
  const std::function<Task<>(size_t)> lookup = [&](size_t) -> Task<> {
    auto locations = co_await f.cluster.locations(digest);
    if (locations) ++found;
  };
  const auto unlock = [&]() -> Task<> {
    open = true;
    gate.notify_all();
    co_return;
  };
  tasks.spawn(lookup(0), "first");
  tasks.spawn(lookup(1), "second");
  tasks.spawn(lookup(2), "third");
  for (int i = 0; i < 5; ++i) f.loop.poll();
  CHECK(f.location_requests() == 1);
  test::run(f.loop, unlock());
  while (tasks.size() > 0) f.loop.poll();
  CHECK(found == 3);
  CHECK(f.location_requests() == 1);
  test::run(f.loop, tasks.stop());
}

TEST_CASE("readiness asks one owner of a random digest") {
  Fixture f;
  for (const char* name : {"a", "b", "c"}) f.host(name, {answer(200, "OK\n")});
  CHECK(test::run(f.loop, f.cluster.ready()));
  CHECK(f.http.requests.back().target == "/readiness");
  for (const char* name : {"a", "b", "c"}) f.host(name, {answer(503)});
  CHECK(test::run(f.loop, f.cluster.ready()).error().http_status == 503);
}

TEST_CASE("a lone origin that cannot be reached by its own name is reached by the configured one") {
  Fixture f;
  api::OriginCluster lone({f.loop, f.http, f.clock, f.random}, {"10.0.0.7:15002"}, Logger());
  f.http.reply([](const http::ClientRequest& request) -> Result<http::ClientResponse> {
    if (ends_with(request, "/locations")) return answer(200, "", {{"Origin-Locations", "secret-name:15002"}});
    if (request.host.host == "secret-name") return refused();
    if (ends_with(request, "/peercontext"))
      return answer(
          200, PeerContext{"10.0.0.7", 15001, addr_hash_peer_id("10.0.0.7", 15001), "", "", true}.json());
    return answer(200, "", {{"Content-Length", "7"}});
  });
  for (int round = 0; round < 4; ++round) CHECK(*test::run(f.loop, lone.stat("x", digest)) == 7);
  CHECK(test::run(f.loop, lone.peers(digest))->size() == 1);
  test::run(f.loop, lone.stop());
}

TEST_CASE("an origin known by two names is one peer") {
  Fixture f;
  const std::string context =
      PeerContext{"10.0.0.7", 15001, addr_hash_peer_id("10.0.0.7", 15001), "", "", true}.json();
  for (const char* name : {"a", "b", "c"}) f.host(name, {answer(200, context)});
  CHECK(test::run(f.loop, f.cluster.peers(digest))->size() == 1);
}
