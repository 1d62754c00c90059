#include "krakend/io/task_group.h"
#include "support/statsd_told.h"
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

TEST_CASE("the upload exchange of the contract: durable in store and backend, seeded, readable") {
  test::World world;
  Node origin(world, "o");
  REQUIRE(digest.hex() == "23dd464417d01f15d97d48244dbe893ef8d30dc77ba2f0178bc0a5b7838650a4");
  const auto started = origin.start(base, 12);
  CHECK(started.status == 200);
  CHECK(started.body.empty());
  const std::string id(started.headers.get("Location"));
  CHECK(id.size() == 36);
  CHECK(id.find('/') == std::string::npos);
  const auto patched = origin.patch(base, id, content, 0);
  CHECK(patched.status == 200);
  CHECK(patched.body.empty());
  const auto committed = origin.commit(base, id);
  CHECK(committed.status == 200);
  CHECK(committed.body.empty());
  CHECK(origin.in_store(digest));
  CHECK(origin.gets_to_backend(digest));

  const auto head = world.call("HEAD", origin.at, "/internal" + base);
  CHECK(head.status == 200);
  CHECK(head.headers.get("Content-Length") == "12");
  CHECK(world.get(origin.at, base).body == content);
  const auto metainfo = world.get(origin.at, "/internal" + base + "/metainfo");
  CHECK(metainfo.status == 200);
  CHECK(metainfo.headers.get("Content-Type") == "text/plain; charset=utf-8");
  CHECK(metainfo.body ==
        R"({"Info":{"PieceLength":5,"PieceSums":[907060870,439875091,4082745666],)"
        R"("Name":"23dd464417d01f15d97d48244dbe893ef8d30dc77ba2f0178bc0a5b7838650a4","Length":12}})");
  CHECK(origin.commit(base, id).status == 404);
}

TEST_CASE("an empty blob has no PATCH") {
  test::World world;
  Node origin(world, "o");
  const Digest empty = Digest::of("");
  CHECK(origin.upload(ns_blob(empty), "") == 200);
  const auto got = world.get(origin.at, ns_blob(empty));
  CHECK(got.status == 200);
  CHECK(got.body.empty());
  CHECK(got.headers.get("Content-Length") == "0");
}

TEST_CASE("chunks come in any order, gaps are zeros, the last write counts") {
  test::World world;
  Node origin(world, "o");
  const std::string whole = std::string("abc") + std::string(3, '\0') + "xyz";
  const std::string path = ns_blob(Digest::of(whole));
  const std::string id(origin.start(path, whole.size()).headers.get("Location"));
  CHECK(origin.patch(path, id, "xyz", 6).status == 200);
  CHECK(origin.patch(path, id, "???", 0).status == 200);
  CHECK(origin.patch(path, id, "abc", 0).status == 200);
  CHECK(origin.commit(path, id).status == 200);
}

TEST_CASE("what a PATCH may not be") {
  test::World world;
  Node origin(world, "o");
  const std::string id(origin.start(base, 12).headers.get("Location"));
  const std::string target = base + "/uploads/" + id;
  const auto patch = [&](const std::string& body, http::Headers headers) {
    return world.call("PATCH", origin.at, target, body, std::move(headers)).status;
  };
  CHECK(patch("nothing here", {}) == 400);
  CHECK(patch("nothing here", {{"Content-Range", "0,12"}}) == 400);
  CHECK(patch("nothing here", {{"Content-Range", "bytes 0-11/12"}}) == 400);
  CHECK(patch("nothing here", {{"Content-Range", "12-0"}}) == 400);
  CHECK(patch("x", {{"Content-Range", "9223372036854775806-9223372036854775807"}}) == 400);
  CHECK(patch("nothing", {{"Content-Range", "0-12"}}) == 500);
  CHECK(patch("hello kraken and more", {{"Content-Range", "0-12"}}) == 200);  // surplus is ignored
  CHECK(origin.commit(base, id).status == 200);
  const std::string other = ns_blob(Digest::of("other"));
  CHECK(origin.patch(other, "00000000-0000-4000-8000-000000000000", "other", 0).status == 404);
  CHECK(origin.commit(other, "00000000-0000-4000-8000-000000000000").status == 404);
}

TEST_CASE("a digest mismatch is 500, keeps nothing, and ends the upload") {
  test::World world;
  Node origin(world, "o");
  const std::string id(origin.start(base, 5).headers.get("Location"));
  REQUIRE(origin.patch(base, id, "wrong", 0).status == 200);
  const auto committed = origin.commit(base, id);
  CHECK(committed.status == 500);
  CHECK(committed.body.find("computed digest " + Digest::of("wrong").str() +
                            " doesn't match expected value " + digest.str()) != std::string::npos);
  CHECK_FALSE(origin.in_store(digest));
  CHECK_FALSE(origin.in_store(Digest::of("wrong")));
  CHECK_FALSE(origin.in_backend(digest));
  CHECK(origin.commit(base, id).status == 404);
}

TEST_CASE("409 on the public paths writes back first, on the internal ones it does not") {
  test::World world;
  Node origin(world, "o");
  const std::string late(origin.start(base, 12).headers.get("Location"));
  REQUIRE(origin.upload(internal_blob(digest), content) == 200);
  CHECK_FALSE(origin.in_backend(digest));
  const auto internal = origin.start(internal_blob(digest), 12);
  CHECK(internal.status == 409);
  CHECK(internal.body.empty());
  CHECK(origin.patch(internal_blob(digest), late, content, 0).status == 409);
  CHECK_FALSE(origin.in_backend(digest));

  SECTION("start") {
    CHECK(origin.start(base, 12).status == 409);
  }
  SECTION("patch") {
    CHECK(origin.patch(base, late, content, 0).status == 409);
  }
  CHECK(origin.gets_to_backend(digest));
}

TEST_CASE("a commit of a blob that has come meanwhile is 409") {
  test::World world;
  Node origin(world, "o");
  const std::string first(origin.start(base, 12).headers.get("Location"));
  const std::string second(origin.start(base, 12).headers.get("Location"));
  REQUIRE(origin.patch(base, first, content, 0).status == 200);
  REQUIRE(origin.patch(base, second, content, 0).status == 200);
  CHECK(origin.commit(base, first).status == 200);
  CHECK(origin.commit(base, second).status == 409);
  CHECK(origin.commit(base, second).status == 404);
}

TEST_CASE("a write-back that fails is tried again; until then the blob is protected") {
  test::World world;
  Node origin(world, "o");
  origin.remote->broken = true;
  CHECK(origin.upload(base, content) == 200);
  CHECK(origin.in_store(digest));
  CHECK(origin.start(base, 12).status == 409);
  CHECK(world.call("DELETE", origin.at, internal_blob(digest)).status == 500);
  origin.remote->broken = false;
  CHECK(origin.gets_to_backend(digest));
  const auto deleted = [&] { return world.call("DELETE", origin.at, internal_blob(digest)).status == 202; };
  for (int round = 0; round < 1000 && !deleted(); ++round) world.run(world.clock->sleep(1ms));
  CHECK_FALSE(origin.in_store(digest));
}

TEST_CASE("statsd hears of write-backs under the reference's names") {
  test::World world;
  Node origin(world, "o");
  origin.remote->broken = true;
  CHECK(origin.upload(base, content) == 200);
  while (origin.remote->uploads == 0) world.run(world.clock->sleep(1ms));
  world.run(world.clock->sleep(1ms));
  auto told = test::statsd_told(origin.metrics);
  CHECK(told["tasks.added|c"] == 1);
  CHECK(told["task_failures|c"] == 1);
  CHECK(told["queue.total.size|g"] == 1);
  CHECK_FALSE(told.contains("upload.-infinity-1s|c"));
  origin.remote->broken = false;
  REQUIRE(origin.is_written_back(digest));
  told = test::statsd_told(origin.metrics);
  CHECK(told["upload.-infinity-1s|c"] == 1);
  // The second attempt came about a second after the push.
  CHECK(told["lifetime.-infinity-1s|c"] + told["lifetime.1s-1.4s|c"] + told["lifetime.1.4s-1.959999999s|c"] ==
        1);
  CHECK_FALSE(told.contains("tasks.added|c"));
}

TEST_CASE("what is not written back yet is written back after a restart") {
  test::World world;
  auto origin = std::make_unique<Node>(world, "o");
  origin->remote->broken = true;
  CHECK(origin->upload(base, content) == 200);
  origin.reset();
  origin = std::make_unique<Node>(world, "o");
  CHECK(origin->gets_to_backend(digest));
}

TEST_CASE("a flag without a task is a task again") {
  test::World world;
  auto origin = std::make_unique<Node>(world, "o");
  REQUIRE(origin->upload(internal_blob(digest), content) == 200);
  REQUIRE(world.run(origin->store().set_persist(digest, true)));
  origin.reset();
  origin = std::make_unique<Node>(world, "o");
  CHECK(origin->gets_to_backend(digest));
}

TEST_CASE("too many blobs that wait for their write-back turn uploads away until there is room") {
  test::World world;
  Node origin(world, "o", {}, {"127.0.0.1", 0},
              [](origin::OriginOptions& options) { options.write_back.tasks_max = 1; });
  origin.remote->broken = true;
  CHECK(origin.upload(base, content) == 200);
  const Digest other = Digest::of("other");
  const std::string id(origin.start(ns_blob(other), 5).headers.get("Location"));
  REQUIRE(origin.patch(ns_blob(other), id, "other", 0).status == 200);
  const auto refused = origin.commit(ns_blob(other), id);
  CHECK(refused.status == 503);
  CHECK_THAT(origin.metrics.text(), Catch::Matchers::Contains("krakend_writeback_refused_total 1"));
  CHECK(refused.headers.has("Retry-After"));
  // Whoever found it here would take it for safe.
  CHECK_FALSE(origin.in_store(other));
  origin.remote->broken = false;
  CHECK(origin.gets_to_backend(digest));
  const auto taken = [&] { return origin.upload(ns_blob(other), "other") == 200; };
  for (int round = 0; round < 1000 && !taken(); ++round) world.run(world.clock->sleep(1ms));
  CHECK(origin.gets_to_backend(other));
}

TEST_CASE("a failed commit leaves no write-back behind, and one that others wait for is kept") {
  test::World world;
  Node origin(world, "o");
  const std::string id(origin.start(base, 5).headers.get("Location"));
  REQUIRE(origin.patch(base, id, "wrong", 0).status == 200);
  CHECK(origin.commit(base, id).status == 500);
  CHECK_THAT(origin.metrics.text(), Catch::Matchers::Contains("krakend_writeback_tasks 0"));
  CHECK_THAT(origin.metrics.text(), Catch::Matchers::Contains("krakend_writeback_missing_total 0"));
  CHECK(origin.upload(base, content) == 200);
  CHECK(origin.gets_to_backend(digest));
}

TEST_CASE("a blob that the backend has is not written again; a namespace without backend is done") {
  test::World world;
  Node origin(world, "o");
  REQUIRE(origin.upload(base, content) == 200);
  REQUIRE(origin.gets_to_backend(digest));
  REQUIRE(origin.start(base, 12).status == 409);
  CHECK(origin.remote->uploads == 1);
  const std::string orphan = ns_blob(Digest::of("orphan"), "unknown");
  CHECK(origin.upload(orphan, "orphan") == 200);
  CHECK(origin.in_store(Digest::of("orphan")));
}

TEST_CASE("the duplicate commit has a body with a delay and writes back") {
  test::World world;
  Node origin(world, "o");
  const std::string id(origin.start(base, 12).headers.get("Location"));
  REQUIRE(origin.patch(base, id, content, 0).status == 200);
  const std::string duplicate = "/internal/duplicate" + base;
  CHECK(origin.commit(duplicate, id).status == 500);
  CHECK(origin.commit(duplicate, id, "x").status == 500);
  CHECK(origin.commit(duplicate, id, R"({"Delay":100000000})").status == 200);
  CHECK(origin.gets_to_backend(digest));
  CHECK(origin.commit(duplicate, id, R"({"Delay":0})").status == 404);
}

TEST_CASE("requests on one upload wait for each other") {
  test::World world;
  Node origin(world, "o");
  const std::string whole = std::string(200 * KiB, 'a') + std::string(200 * KiB, 'b');
  const std::string path = ns_blob(Digest::of(whole));
  const std::string id(origin.start(path, whole.size()).headers.get("Location"));
  const auto request = [&](std::string method, std::string body, const std::string& range) {
    http::ClientRequest r;
    r.method = std::move(method);
    r.host = origin.at;
    r.target = path + "/uploads/" + id;
    if (!range.empty()) r.headers.set("Content-Range", range);
    if (!body.empty()) r.body = std::move(body);
    return r;
  };
  std::vector<int> statuses;
  const std::function<Task<>(http::ClientRequest)> send = [&](http::ClientRequest r) -> Task<> {
    auto response = co_await world.caller->send(std::move(r));
    if (!response) UNSCOPED_INFO(response.error().message);
    statuses.push_back(response ? response->status : 0);
  };
  io::TaskGroup tasks(world.loop);
  tasks.spawn(send(request("PATCH", whole.substr(200 * KiB), "204800-409600")), "second half");
  tasks.spawn(send(request("PATCH", whole.substr(0, 200 * KiB), "0-204800")), "first half");
  while (tasks.size() > 0) world.loop.poll();
  CHECK(statuses == std::vector<int>{200, 200});
  CHECK(origin.commit(path, id).status == 200);
}

/// A ring of two origins, both of which keep every blob.
struct TwoOwners {
  test::World world{};
  io::Address a = test::nobody(world);
  io::Address b = test::nobody(world);
  Node first{world, "a", {a.str(), b.str()}, a};
  Node second{world, "b", {a.str(), b.str()}, b};
};

TEST_CASE("a pushed blob is replicated to the other owners") {
  TwoOwners owners;
  auto& [world, a, b, first, second] = owners;
  CHECK(first.upload(base, content) == 200);
  CHECK(second.in_store(digest));
  CHECK(first.gets_to_backend(digest));
  CHECK_FALSE(second.in_backend(digest));  // it waits for its turn
  CHECK(world.call("DELETE", second.at, internal_blob(digest)).status == 500);
  const auto locations = world.get(first.at, "/blobs/" + digest.str() + "/locations");
  CHECK(locations.status == 200);
  CHECK(locations.headers.get("Origin-Locations") ==
        world.get(second.at, "/blobs/" + digest.str() + "/locations").headers.get("Origin-Locations"));
  CHECK(locations.headers.get("Origin-Locations").size() == a.str().size() + 1 + b.str().size());
}

TEST_CASE("a refreshed blob is replicated to the other owners") {
  TwoOwners owners;
  auto& [world, a, b, first, second] = owners;
  first.metrics.keep_timings();
  REQUIRE(world.run(first.remote->put(digest.hex(), content)));
  CHECK(world.get(first.at, base).body == content);
  const auto arrived = [&]() -> Task<> {
    while (!(co_await second.store().size(digest))) co_await world.clock->sleep(2ms);
  };
  world.run(arrived());
  uint64_t timings = 0;
  for (int round = 0; round < 1000 && timings == 0; ++round) {
    timings = test::statsd_told(first.metrics)["replicate_blob|ms"];
    world.run(world.clock->sleep(1ms));
  }
  CHECK(timings == 1);
}

TEST_CASE("a dead neighbour does not fail a push") {
  test::World world;
  const io::Address a = test::nobody(world);
  Node origin(world, "a", {a.str(), test::nobody(world).str()}, a);
  CHECK(origin.upload(base, content) == 200);
}
