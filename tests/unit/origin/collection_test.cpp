#include "krakend/api/collection.h"
#include "unit/origin/node.h"

namespace krakend::test {
namespace {

const std::string content = "garbage";
const Digest digest = Digest::of(content);

struct Stage {
  World world;
  Node node{world, "one"};
  api::CollectionClient client{*world.client, node.at.str()};

  api::CollectionRequest request(Duration unused_for = 0s) {
    api::CollectionRequest made;
    made.ns = "library/ubuntu";
    made.digests = {digest};
    made.unused_for = unused_for;
    made.backend = true;
    return made;
  }
  api::CollectionAnswer freeze(api::CollectionRequest made) {
    auto answer = world.run(client.freeze(std::move(made)));
    REQUIRE(answer);
    return *answer;
  }
  api::CollectionAnswer sweep(bool backend) {
    auto made = request();
    made.backend = backend;
    auto answer = world.run(client.sweep(std::move(made)));
    REQUIRE(answer);
    return *answer;
  }
};

TEST_CASE("a blob is frozen, swept from cache and backend, and released") {
  Stage s;
  REQUIRE(s.node.upload(ns_blob(digest), content) == 200);
  REQUIRE(s.node.is_written_back(digest));
  auto inventory = s.world.run(s.client.inventory("library/ubuntu", true));
  REQUIRE(inventory);
  CHECK(inventory->cluster.size() == 1);
  CHECK(inventory->cached == std::vector<Digest>{digest});
  CHECK(inventory->stored == std::vector<Digest>{digest});
  CHECK(s.world.run(s.client.inventory("library/ubuntu", false))->stored.empty());

  CHECK(s.sweep(false).refused.contains(digest));
  CHECK(s.freeze(s.request(1h)).refused.contains(digest));
  auto dry = s.request();
  dry.dry_run = true;
  CHECK(s.freeze(dry).done.at(digest) == content.size());
  CHECK(s.sweep(false).refused.contains(digest));
  CHECK(s.node.in_store(digest));

  CHECK(s.freeze(s.request()).done.at(digest) == content.size());
  CHECK(s.sweep(false).refused.empty());
  CHECK_FALSE(s.node.in_store(digest));
  CHECK(s.node.in_backend(digest));
  CHECK(s.sweep(true).refused.empty());
  CHECK_FALSE(s.node.in_backend(digest));
  REQUIRE(s.world.run(s.client.release(s.request())));
  CHECK(s.world.call("HEAD", s.node.at, "/internal" + ns_blob(digest)).status == 404);
  CHECK(s.node.upload(ns_blob(digest), content) == 200);
  CHECK(s.node.gets_to_backend(digest));
}

TEST_CASE("a blob that is not written back yet is not frozen") {
  Stage s;
  s.node.remote->broken = true;
  CHECK(s.node.upload(ns_blob(digest), content) == 200);
  CHECK(s.freeze(s.request()).refused.at(digest).starts_with("not written back yet"));
}

TEST_CASE("a blob that is being fetched is not frozen") {
  Stage s;
  REQUIRE(s.world.run(s.node.remote->put(digest.hex(), content)));
  s.node.remote->held = true;
  CHECK(s.world.call("GET", s.node.at, ns_blob(digest)).status == 202);
  CHECK(s.freeze(s.request()).refused.at(digest) == "being fetched from the backend");
  s.node.remote->held = false;
  s.node.remote->gate.notify_all();
}

TEST_CASE("garbage instead of a request") {
  Stage s;
  for (const char* body :
       {"", "[]", "{}", R"({"namespace":1,"digests":[],"unused_for_ns":0,"dry_run":false,"backend":false})",
        R"({"namespace":"a","digests":["zz"],"unused_for_ns":0,"dry_run":false,"backend":false})"}) {
    INFO(body);
    CHECK(s.world.call("POST", s.node.at, "/x/gc/freeze", body).status == 400);
  }
}

}  // namespace
}  // namespace krakend::test
