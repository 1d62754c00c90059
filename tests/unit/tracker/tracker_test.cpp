#include "roles/tracker/tracker.h"

#include "krakend/api/requests.h"
#include "krakend/core/peer.h"
#include "support/catch.h"
#include "support/statsd_told.h"
#include "support/world.h"

using namespace krakend;

namespace {

const std::string hex = "23dd464417d01f15d97d48244dbe893ef8d30dc77ba2f0178bc0a5b7838650a4";
const std::string info_hash = "9c51c05e23292bbb5b84259161d306d167499a30";
const std::string metainfo_json =
    R"({"Info":{"PieceLength":5,"PieceSums":[907060870,439875091,4082745666],"Name":")" + hex +
    R"(","Length":12}})";
const std::string metainfo_path = "/namespace/library%2Fubuntu/blobs/sha256:" + hex + "/metainfo";

/// An origin that owns everything.
class FakeOrigin {
 public:
  explicit FakeOrigin(test::World& world) {
    http::Router router;
    using api::bind;
    router.add("GET", "/blobs/{digest}/locations", bind(this, &FakeOrigin::locations))
        .add("GET", "/internal/peercontext", bind(this, &FakeOrigin::context))
        .add("GET", "/readiness", bind(this, &FakeOrigin::readiness))
        .add("GET", "/internal/namespace/{namespace}/blobs/{digest}/metainfo",
             bind(this, &FakeOrigin::metainfo));
    address = world.serve(std::move(router));
  }

  io::Address address;
  int metainfo_status = 200;
  int readiness_status = 200;
  int metainfo_requests = 0;
  std::string ns;

 private:
  Task<http::Response> locations(http::Request&) {
    http::Response response = http::text_response(200);
    response.headers.set("Origin-Locations", address.str());
    co_return response;
  }
  Task<http::Response> context(http::Request&) {
    const PeerContext context{"10.0.0.9", 8080, addr_hash_peer_id("10.0.0.9", 8080), "z1", "c1", true};
    co_return http::text_response(200, context.json() + "\n");
  }
  Task<http::Response> readiness(http::Request&) { co_return http::text_response(readiness_status, "OK\n"); }
  Task<http::Response> metainfo(http::Request& request) {
    ++metainfo_requests;
    ns = api::param(request, "namespace");
    co_return metainfo_status == 200 ? http::text_response(200, metainfo_json)
                                     : http::text_response(metainfo_status);
  }
};

struct Fixture {
  test::World world;
  Metrics metrics;
  FakeOrigin origin{world};
  std::unique_ptr<tracker::Tracker> tracker;
  io::Address at;

  Fixture() { start({origin.address.str()}); }
  ~Fixture() { stop(); }

  void start(std::vector<std::string> origins) {
    tracker::TrackerOptions options;
    options.listen = {"127.0.0.1", 0};
    options.origins = std::move(origins);
    api::Services services{world.loop,  *world.clock,  *world.random, *world.net,
                           *world.disk, *world.server, *world.client, Logger()};
    services.metrics = metrics;
    tracker = std::make_unique<tracker::Tracker>(services, options);
    auto bound = tracker->start();
    REQUIRE(bound);
    at = *bound;
  }
  void stop() {
    world.run(world.server->stop(1s));
    world.server = http::make_server(world.loop, *world.clock, *world.net, Logger());
    world.run(tracker->stop());
    tracker.reset();
  }
  std::string announce_body(const PeerInfo& peer) const {
    AnnounceRequest request;
    request.digest = *Digest::parse_hex(hex);
    request.info_hash = *InfoHash::parse(info_hash);
    request.peer = peer;
    return request.json();
  }
  AnnounceResponse announce(const PeerInfo& peer) {
    const auto response = world.call("POST", at, "/announce/" + info_hash, announce_body(peer));
    REQUIRE(response.status == 200);
    auto parsed = AnnounceResponse::parse(response.body);
    REQUIRE(parsed);
    return *parsed;
  }
};

PeerInfo agent(int n, bool complete = false) {
  return {addr_hash_peer_id("10.0.0.1", n), "10.0.0.1", n, false, complete};
}

}  // namespace

TEST_CASE("the announce exchange of the contract, answered") {
  Fixture f;
  const auto response = f.world.call("POST", f.at, "/announce/" + info_hash, f.announce_body(agent(8080)));
  CHECK(response.status == 200);
  CHECK(response.headers.get("Content-Type") == "text/plain; charset=utf-8");
  const PeerInfo origin{addr_hash_peer_id("10.0.0.9", 8080), "10.0.0.9", 8080, true, true};
  // Only the origin: the announcer itself is left out.
  CHECK(response.body == "{\"peers\":[" + origin.json() + "],\"interval\":3000000000}\n");
}

TEST_CASE("complete peers first, then origins, then the others") {
  Fixture f;
  f.announce(agent(1));
  f.announce(agent(2, true));
  f.announce(agent(3));
  const auto answer = f.announce(agent(4));
  REQUIRE(answer.peers.size() == 4);
  CHECK(answer.peers[0] == agent(2, true));
  CHECK(answer.peers[1].origin);
  CHECK_FALSE(answer.peers[2].complete);
  CHECK_FALSE(answer.peers[3].complete);
}

TEST_CASE("what is handed out is told to statsd in the reference's buckets") {
  Fixture f;
  for (int n = 1; n <= 3; ++n) f.announce(agent(n, true));
  f.announce(agent(4));
  f.announce(agent(5));
  test::statsd_told(f.metrics);
  f.announce(agent(6));
  CHECK(test::statsd_told(f.metrics) ==
        std::map<std::string, uint64_t>{{"origin_seeders.0.000000-1.000000|c", 1},
                                        {"complete_agent_seeders.2.000000-3.000000|c", 1},
                                        {"incomplete_agent_seeders.1.000000-2.000000|c", 1}});
}

TEST_CASE("a complete announcer gets null peers, and is handed out afterwards") {
  Fixture f;
  const auto response = f.world.call("POST", f.at, "/announce/" + info_hash, f.announce_body(agent(1, true)));
  CHECK(response.body == "{\"peers\":null,\"interval\":3000000000}\n");
  CHECK(response.headers.get("Content-Length") == "37");
  CHECK(f.announce(agent(2)).peers.front() == agent(1, true));
}

TEST_CASE("the old announce is a GET with a body; the new one believes the path") {
  Fixture f;
  const auto old = f.world.call("GET", f.at, "/announce", f.announce_body(agent(1)));
  CHECK(old.status == 200);
  CHECK(f.announce(agent(2)).peers.size() == 2);
  const std::string other(40, 'a');
  const auto response = f.world.call("POST", f.at, "/announce/" + other, f.announce_body(agent(3)));
  CHECK(AnnounceResponse::parse(response.body)->peers.size() == 1);  // the origin
}

TEST_CASE("announces that cannot be used") {
  Fixture f;
  CHECK(f.world.call("POST", f.at, "/announce/00", "{").status == 500);
  CHECK(f.world.call("POST", f.at, "/announce/" + info_hash, R"({"name":"aa"})").status == 500);
  CHECK(
      f.world.call("POST", f.at, "/announce/" + info_hash, "{\"info_hash\":\"" + info_hash + "\"}").status ==
      500);
  std::string body = f.announce_body(agent(1));
  body = body.substr(0, body.find(",\"peer\"")) + "}";
  const auto no_peer = f.world.call("POST", f.at, "/announce/" + info_hash, body);
  CHECK(no_peer.status == 400);
  CHECK_FALSE(no_peer.body.empty());
  CHECK(f.world.call("POST", f.at, "/announce/" + info_hash, std::string(100'000, ' ')).status == 500);
}

TEST_CASE("without origins the recorded peers are handed out alone") {
  Fixture f;
  f.stop();
  f.start({test::nobody(f.world).str()});
  CHECK(f.announce(agent(1)).peers.empty());
  CHECK(f.announce(agent(2)).peers == std::vector<PeerInfo>{agent(1)});
}

TEST_CASE("at most announce_limit agents, origins beside them") {
  Fixture f;
  for (int n = 1; n <= 60; ++n) f.announce(agent(n));
  CHECK(f.announce(agent(61)).peers.size() == 51);
}

TEST_CASE("metainfo is relayed as JSON and kept") {
  Fixture f;
  const auto response = f.world.get(f.at, metainfo_path);
  CHECK(response.status == 200);
  CHECK(response.headers.get("Content-Type") == "application/json");
  CHECK(response.body == metainfo_json);
  CHECK(f.origin.ns == "library/ubuntu");
  f.origin.metainfo_status = 404;
  CHECK(f.world.get(f.at, metainfo_path).status == 200);
  const auto head = f.world.call("HEAD", f.at, metainfo_path);
  CHECK(head.status == 200);
  CHECK(head.headers.get("Content-Length") == std::to_string(metainfo_json.size()));
  CHECK(f.origin.metainfo_requests == 1);
}

TEST_CASE("the origin's status is relayed, trouble on the way to it is 500") {
  Fixture f;
  int n = 0;
  for (const int status : {202, 404, 503, 500}) {
    CAPTURE(status);
    f.origin.metainfo_status = status;
    const std::string path = "/namespace/ns" + std::to_string(++n) + "/blobs/sha256:" + hex + "/metainfo";
    CHECK(f.world.get(f.at, path).status == status);
  }
  const auto bad = f.world.get(f.at, "/namespace/x/blobs/sha256:zz/metainfo");
  CHECK(bad.status == 400);
  CHECK_FALSE(bad.body.empty());
  f.stop();
  f.start({test::nobody(f.world).str()});
  CHECK(f.world.get(f.at, metainfo_path).status == 500);
}

TEST_CASE("health, readiness, and what is not there") {
  Fixture f;
  CHECK(f.world.get(f.at, "/health").body == "OK\n");
  CHECK(f.world.get(f.at, "/readiness").body == "OK\n");
  f.origin.readiness_status = 503;
  CHECK(f.world.get(f.at, "/readiness").status == 503);
  const auto wrong = f.world.call("PUT", f.at, "/health");
  CHECK(wrong.status == 405);
  CHECK(wrong.body.empty());
  const auto unknown = f.world.get(f.at, "/nosuch");
  CHECK(unknown.status == 404);
  CHECK(unknown.body == "404 page not found\n");
  CHECK(unknown.headers.get("X-Content-Type-Options") == "nosniff");
}
