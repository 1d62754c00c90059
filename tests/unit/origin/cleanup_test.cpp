#include <filesystem>
#include <nlohmann/json.hpp>

#include "unit/origin/node.h"

namespace krakend::test {
namespace {

const std::string content = "hello kraken";
const Digest digest = Digest::of(content);

TEST_CASE("forced cleanup removes what is old, after it was written back") {
  World world;
  Node origin(world, "o");
  REQUIRE(origin.upload(ns_blob(digest), content) == 200);
  CHECK(world.call("POST", origin.at, "/forcecleanup").status == 400);
  CHECK(world.call("POST", origin.at, "/forcecleanup?ttl_hr=x").status == 400);
  const auto young = world.call("POST", origin.at, "/forcecleanup?ttl_hr=1");
  CHECK(young.status == 200);
  CHECK(young.body == "{\"deleted\":null,\"errors\":null}\n");
  CHECK(origin.in_store(digest));

  const auto old = std::filesystem::file_time_type::clock::now() - 3h;
  std::filesystem::last_write_time(origin.store().data_path(digest), old);
  origin.remote->broken = true;
  const Digest waiting = Digest::of("waiting");
  REQUIRE(origin.upload(ns_blob(waiting), "waiting") == 200);
  std::filesystem::last_write_time(origin.store().data_path(waiting), old);
  const auto removed = nlohmann::json::parse(world.call("POST", origin.at, "/forcecleanup?ttl_hr=2").body);
  CHECK(removed.at("deleted") == std::vector<std::string>{digest.hex()});
  REQUIRE(removed.at("errors").size() == 1);
  CHECK(removed.at("errors")[0].get<std::string>().starts_with(waiting.hex() + ": "));
  CHECK_FALSE(origin.in_store(digest));
  CHECK(origin.in_store(waiting));
  CHECK(origin.in_backend(digest));

  origin.remote->broken = false;
  world.call("POST", origin.at, "/forcecleanup?ttl_hr=2");
  CHECK_FALSE(origin.in_store(waiting));
  CHECK(origin.in_backend(waiting));
  CHECK(world.call("POST", origin.at, "/forcecleanup/v2").status == 501);
}

TEST_CASE("a blob is copied to another cluster, from the backend when it has to be") {
  World world;
  const io::Address there = nobody(world);
  Node here(world, "here");
  Node other(world, "other", {}, there);
  const std::string path = ns_blob(digest) + "/remote/" + there.str();
  CHECK(world.call("POST", here.at, path).status == 404);
  REQUIRE(world.run(here.remote->put(digest.hex(), content)));
  CHECK(world.call("POST", here.at, path).status == 200);
  CHECK(other.in_store(digest));
  CHECK(other.gets_to_backend(digest));
  CHECK(world.call("POST", here.at, path).status == 200);
  CHECK(world.call("POST", here.at, ns_blob(digest) + "/remote/" + nobody(world).str()).status == 500);
  CHECK(world.call("POST", here.at, ns_blob(digest) + "/remote/nonsense").status == 400);
}

}  // namespace
}  // namespace krakend::test
