#include <nlohmann/json.hpp>

#include "krakend/cluster/hosts.h"
#include "krakend/core/peer.h"
#include "unit/origin/node.h"

using namespace krakend;
using test::internal_blob;
using test::Node;
using test::ns_blob;

namespace {

const std::string content = "hello kraken";
const Digest digest = Digest::of(content);
const std::string base = ns_blob(digest);

}  // namespace

TEST_CASE("downloads, whole and in ranges") {
  test::World world;
  Node origin(world, "o");
  REQUIRE(origin.upload(base, content) == 200);
  const auto whole = world.get(origin.at, base);
  CHECK(whole.status == 200);
  CHECK(whole.body == content);
  CHECK(whole.headers.get("Content-Length") == "12");
  CHECK(whole.headers.get("Content-Type") == "application/octet-stream");
  const auto part = world.get(origin.at, base, {{"Range", "bytes=6-8"}});
  CHECK(part.status == 206);
  CHECK(part.body == "kra");
  CHECK(part.headers.get("Content-Range") == "bytes 6-8/12");
  const auto beyond = world.get(origin.at, base, {{"Range", "bytes=12-"}});
  CHECK(beyond.status == 416);
  CHECK(beyond.headers.get("Content-Range") == "bytes */12");
  CHECK(world.get(origin.at, ns_blob(digest, "library%252Fubuntu")).body == content);
}

TEST_CASE("a blob whose local copy is gone comes back from the backend") {
  test::World world;
  Node origin(world, "o");
  REQUIRE(origin.upload(base, content) == 200);
  REQUIRE(origin.is_written_back(digest));
  REQUIRE(world.call("DELETE", origin.at, internal_blob(digest)).status == 202);
  REQUIRE_FALSE(origin.in_store(digest));
  const auto local = world.call("HEAD", origin.at, "/internal" + base + "?local=true");
  CHECK(local.status == 404);
  const auto head = world.call("HEAD", origin.at, "/internal" + base);
  CHECK(head.headers.get("Content-Length") == "12");
  CHECK_FALSE(origin.in_store(digest));  // looking does not fetch

  SECTION("by a download") {
    CHECK(world.get(origin.at, base).body == content);
  }
  SECTION("by metainfo") {
    const auto metainfo = world.get(origin.at, "/internal" + base + "/metainfo");
    CHECK(metainfo.status == 200);
    CHECK(MetaInfo::parse(metainfo.body)->info_hash().hex() == "9c51c05e23292bbb5b84259161d306d167499a30");
  }
  SECTION("by prefetch") {
    const auto prefetch = world.call("POST", origin.at, base + "/prefetch");
    CHECK(prefetch.status == 200);
    CHECK(prefetch.body.empty());
  }
  CHECK(origin.in_store(digest));
  CHECK(origin.remote->downloads == 1);
}

TEST_CASE("what nobody has is 404 with an empty body; a namespace without backend is 500") {
  test::World world;
  Node origin(world, "o");
  for (const std::string& path : {base, "/internal" + base + "/metainfo"}) {
    CAPTURE(path);
    const auto got = world.get(origin.at, path);
    CHECK(got.status == 404);
    CHECK(got.body.empty());
  }
  CHECK(world.call("HEAD", origin.at, "/internal" + base).status == 404);
  CHECK(world.call("POST", origin.at, base + "/prefetch").status == 404);
  const std::string unknown = ns_blob(digest, "unknown");
  CHECK(world.get(origin.at, unknown).status == 500);
  CHECK(world.call("HEAD", origin.at, "/internal" + unknown).status == 500);
}

TEST_CASE("a backend that fails is 500, and its failure is replayed") {
  test::World world;
  Node origin(world, "o");
  REQUIRE(origin.upload(base, content) == 200);
  REQUIRE(origin.is_written_back(digest));
  REQUIRE(world.call("DELETE", origin.at, internal_blob(digest)).status == 202);
  origin.remote->broken = true;
  CHECK(world.get(origin.at, base).status == 500);
  CHECK(world.get(origin.at, base).status == 500);
  CHECK(origin.remote->downloads == 1);
}

TEST_CASE("the piece length can be changed") {
  test::World world;
  Node origin(world, "o");
  REQUIRE(origin.upload(base, content) == 200);
  const auto overwrite = [&](const std::string& query) {
    return world.call("POST", origin.at, internal_blob(digest) + "/metainfo" + query).status;
  };
  CHECK(overwrite("?piece_length=7") == 200);
  const auto metainfo = MetaInfo::parse(world.get(origin.at, "/internal" + base + "/metainfo").body);
  REQUIRE(metainfo);
  CHECK(metainfo->piece_length() == 7);
  CHECK(metainfo->piece_count() == 2);
  CHECK(overwrite("") == 400);
  CHECK(overwrite("?piece_length=x") == 400);
  CHECK(overwrite("?piece_length=0") == 500);
  CHECK(overwrite("?piece_length=-1") == 500);
  CHECK(
      world.call("POST", origin.at, internal_blob(Digest::of("none")) + "/metainfo?piece_length=7").status ==
      500);
}

TEST_CASE("delete: 202, then 404") {
  test::World world;
  Node origin(world, "o");
  REQUIRE(origin.upload(base, content) == 200);
  REQUIRE(origin.is_written_back(digest));
  const auto removed = world.call("DELETE", origin.at, internal_blob(digest));
  CHECK(removed.status == 202);
  CHECK(removed.headers.get("Content-Length") == "0");
  CHECK(world.call("DELETE", origin.at, internal_blob(digest)).status == 404);
}

TEST_CASE("the peer context names the P2P address") {
  test::World world;
  Node origin(world, "o");
  const auto got = world.get(origin.at, "/internal/peercontext");
  CHECK(got.status == 200);
  const auto context = PeerContext::parse(got.body);
  REQUIRE(context);
  CHECK(*context == PeerContext{"127.0.0.1", origin.p2p.port, context->peer_id, "z1", "c1", true});
  CHECK(got.body == context->json() + "\n");
}

TEST_CASE("locations of a captured ring") {
  test::World world;
  const std::vector<std::string> ring{"127.0.0.1:15101", "127.0.0.1:15102", "127.0.0.1:15103"};
  cluster::HashRing hashing(ring, 2, [](const std::string&) { return true; });
  const auto hex = [](std::string shard) { return *Digest::parse_hex(shard + std::string(60, '0')); };
  CHECK(hashing.locations(hex("5279")) == std::vector<std::string>{"127.0.0.1:15103", "127.0.0.1:15101"});
  CHECK(hashing.locations(hex("0a65")) == std::vector<std::string>{"127.0.0.1:15102", "127.0.0.1:15101"});
  Node alone(world, "o");
  const auto got = world.get(alone.at, "/blobs/" + digest.str() + "/locations");
  CHECK(got.headers.get("Origin-Locations") == "127.0.0.1:0");
  CHECK(got.body.empty());
}

TEST_CASE("an origin that is not in its own ring does not start") {
  test::World world;
  storage::StoreOptions dirs{world.directory / "c", world.directory / "d", world.directory / "u", 10};
  storage::BlobStore store(world.loop, *world.disk, *world.random, dirs, Logger());
  REQUIRE(store.open_directories());
  backend::Backends backends;
  origin::OriginOptions options;
  options.self = "me:15002";
  options.cluster = {"a:15002", "b:15002"};
  api::Services services{world.loop,  *world.clock,  *world.random, *world.net,
                         *world.disk, *world.server, *world.client, Logger()};
  auto database =
      test::take(storage::Database::open(world.loop, *world.disk, world.directory / "o.db", Logger()));
  auto table = test::take(retry::make_write_back_table(*database));
  origin::Origin origin(services, store, backends, *table, options);
  const auto started = origin.start();
  REQUIRE_FALSE(started);
  CHECK(started.error().message.find("me:15002") != std::string::npos);
  world.run(origin.stop());
  world.run(database->stop());
}

TEST_CASE("health, torrents, bad parameters, wrong methods") {
  test::World world;
  Node origin(world, "o");
  CHECK(world.get(origin.at, "/health").body == "OK\n");
  CHECK(world.get(origin.at, "/readiness").body == "OK\n");
  CHECK(world.get(origin.at, "/x/torrents").headers.get("Content-Type") == "application/json");
  CHECK(world.get(origin.at, "/blobs/sha256:zz/locations").status == 400);
  CHECK(world.call("HEAD", origin.at, "/internal" + base + "?local=maybe").status == 500);
  const auto wrong = world.call("PUT", origin.at, "/health");
  CHECK(wrong.status == 404);
  CHECK(wrong.body == "404 page not found\n");
  CHECK(world.get(origin.at, "/nosuch").status == 404);
}

TEST_CASE("an operator sees the ring, what waits, and the numbers") {
  test::World world;
  Node origin(world, "o");
  origin.remote->broken = true;
  REQUIRE(origin.upload(base, content) == 200);
  const auto status = nlohmann::json::parse(world.get(origin.at, "/x/status").body);
  CHECK(status.at("ring").size() == 1);
  CHECK(status.at("ring")[0].at("self") == true);
  CHECK(status.at("write_back").at("tasks") == 1);
  const auto metrics = world.get(origin.at, "/metrics");
  CHECK(metrics.headers.get("Content-Type") == "text/plain; version=0.0.4");
  CHECK(metrics.body.find("\nkrakend_writeback_tasks 1\n") != std::string::npos);
}

TEST_CASE("an origin is not ready while a backend that must be ready does not answer") {
  test::World world;
  Node origin(world, "o");
  const bool must = GENERATE(true, false);
  REQUIRE(origin.backends.add("^far/", std::make_shared<test::DeadBackend>(), must));
  const auto answer = world.get(origin.at, "/readiness");
  CHECK(answer.status == (must ? 503 : 200));
  if (must)
    CHECK(answer.body.find("backend for namespace '^far/' not ready: it is dead") != std::string::npos);
}

TEST_CASE("the scheduler is configured while it runs") {
  test::World world;
  Node origin(world, "o");
  CHECK(world.call("PATCH", origin.at, "/x/config/scheduler", "{\"ConnTTI\": 1000000000}").status == 200);
  CHECK(world.call("PATCH", origin.at, "/x/config/scheduler", "{\"ConnTTI\": \"1s\"}").status == 500);
  CHECK(world.call("PATCH", origin.at, "/x/config/scheduler", "nonsense").status == 500);
}

TEST_CASE("an erased blob is gone for good, also when it waits for its write-back") {
  test::World world;
  Node origin(world, "o");
  const bool written_back = GENERATE(true, false);
  origin.remote->broken = !written_back;
  const int status = origin.upload(base, content);
  origin.remote->broken = false;
  CAPTURE(written_back, status);
  REQUIRE(origin.in_store(digest));
  CHECK(world.call("DELETE", origin.at, base).status == 202);
  CHECK_FALSE(origin.in_store(digest));
  CHECK(world.get(origin.at, base).status == 404);
  CHECK(world.call("HEAD", origin.at, "/internal" + base).status == 404);
  CHECK(world.call("DELETE", origin.at, base).status == 404);
}
