#include <algorithm>

#include "roles/build_index/duplicate_body.h"
#include "unit/build_index/replication_stage.h"

using namespace krakend;
using Calls = std::vector<std::string>;

TEST_CASE("the other build-indexes are told of a put, each with a later turn") {
  test::ReplicationStage s;
  test::OtherIndex one(s.world);
  test::OtherIndex two(s.world);
  s.options.neighbours.hosts = {one.address.str(), two.address.str(), "me:1"};
  s.options.neighbours.self = {"me:1"};
  s.options.neighbours.put_stagger = 20min;
  s.options.neighbours.replicate_stagger = 1h;
  s.start();
  CHECK(s.put("lib%2Fa:v1", s.image).status == 200);
  const std::string path = "/tags/lib%2Fa:v1/digest/" + s.image.str();
  const std::string digests =
      fmt::format(R"(["{}","{}","{}"])", s.config.str(), s.layer.str(), s.image.str());
  const auto told = [&](const char* put_delay, const char* replicate_delay) {
    return Calls{fmt::format(R"(PUT /internal/duplicate{} {{"delay":{}}})", path, put_delay),
                 fmt::format(R"(POST /internal/duplicate/remotes{} {{"delay":{},"dependencies":{}}})", path,
                             replicate_delay, digests)};
  };
  std::vector<Calls> all{one.calls, two.calls};
  std::sort(all.begin(), all.end(), [](const Calls& a, const Calls& b) { return a.at(0) < b.at(0); });
  CHECK(all[0].at(0) == told("1200000000000", "").at(0));
  CHECK(all[1].at(0) == told("2400000000000", "").at(0));
  std::sort(all.begin(), all.end(), [](const Calls& a, const Calls& b) { return a.at(1) < b.at(1); });
  CHECK(all[0].at(1) == told("", "3600000000000").at(1));
  CHECK(all[1].at(1) == told("", "7200000000000").at(1));
  CHECK(s.told("krakend_duplicate_put_failures_total 0"));
}

TEST_CASE("a put succeeds though no other build-index can be told, which is counted") {
  test::ReplicationStage s;
  s.options.neighbours.hosts = {test::nobody(s.world).str()};
  s.start();
  CHECK(s.put("lib%2Fa:v1", s.image).status == 200);
  CHECK(s.told("krakend_duplicate_put_failures_total 1"));
  CHECK(s.told("krakend_duplicate_replicate_failures_total 1"));
  CHECK(s.done());
}

TEST_CASE("a duplicate is replicated by this build-index when its turn has come") {
  test::ReplicationStage s;
  s.start();
  const std::string digest = "/digest/" + s.image.str();
  CHECK(s.world.call("PUT", s.at, "/internal/duplicate/tags/lib%2Fa:v1" + digest, R"({"delay":0})").status ==
        200);
  const std::string path = "/internal/duplicate/remotes/tags/lib%2Fa:v1" + digest;
  const auto tell = [&](const std::string& body) { return s.world.call("POST", s.at, path, body).status; };
  CHECK(tell(R"({"dependencies":[],"delay":3600000000000})") == 200);
  CHECK(s.rows().at(0).delay == 1h);
  CHECK(s.remote.calls.empty());
  SECTION("now") {
    CHECK(tell(R"({"Dependencies":null,"Delay":0})") == 200);
    REQUIRE(s.done());
    CHECK(s.remote.tags["lib/a:v1"] == s.image.str());
  }
  SECTION("not at all, when its remotes do not want it") {
    CHECK(
        s.world.call("POST", s.at, "/internal/duplicate/remotes/tags/other%2Fa:v1" + digest, R"({"delay":0})")
            .status == 200);
    CHECK(s.rows().size() == 1);
  }
  SECTION("nonsense") {
    CHECK(tell("[]") == 500);
    CHECK(tell(R"({"delay":"soon"})") == 500);
    CHECK(s.world.call("POST", s.at, "/internal/duplicate/remotes/tags/lib%2Fa:v1/digest/zz", "{}").status ==
          500);
  }
}

TEST_CASE("bodies of duplicates") {
  using build_index::parse_duplicate_body;
  const Digest digest = Digest::of("x");
  const auto body = parse_duplicate_body(fmt::format(R"({{"dependencies":["{}"],"delay":5}})", digest.str()));
  REQUIRE(body);
  CHECK(body->delay == 5ns);
  CHECK(body->dependencies == std::vector<Digest>{digest});
  CHECK(parse_duplicate_body("{}")->delay == 0s);
  CHECK(parse_duplicate_body(R"({"delay":-1})")->delay == 0s);
  for (const char* wrong :
       {"", "null", R"({"delay":1.5})", R"({"delay":9223372036854775807})", R"({"dependencies":"a"})",
        R"({"dependencies":[1]})", R"({"dependencies":["a"]})"})
    CHECK_FALSE(parse_duplicate_body(wrong));
}
