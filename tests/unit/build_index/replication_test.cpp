#include <algorithm>

#include "unit/build_index/replication_stage.h"

using namespace krakend;
using Calls = std::vector<std::string>;

namespace {

const http::Headers forwarded{{std::string(api::forwarded_header), "1"}};

std::string put_call(const Digest& digest, const std::string& marks = " forwarded") {
  return "PUT /tags/lib%2Fa:v1/digest/" + digest.str() + "?replicate=true" + marks;
}

}  // namespace

TEST_CASE("a tag goes to the remotes that want it, its blobs before it") {
  test::ReplicationStage s;
  s.start();
  CHECK(s.put("lib%2Fa:v1", s.image).status == 200);
  CHECK(s.put("other%2Fa:v1", s.image).status == 200);
  REQUIRE(s.done());
  CHECK(s.remote.calls == Calls{"HEAD /tags/lib%2Fa:v1", "GET /origin", put_call(s.image)});
  const std::string to = " origin.there:15002";
  CHECK(s.origin.copies == Calls{"lib/a:v1 " + s.config.str() + to, "lib/a:v1 " + s.layer.str() + to,
                                 "lib/a:v1 " + s.image.str() + to});
  CHECK(s.told("krakend_tag_replication_tags_total 1"));
  SECTION("again, when somebody asks for it: the remote has it") {
    s.remote.calls.clear();
    CHECK(s.world.call("POST", s.at, "/remotes/tags/lib%2Fa:v1").status == 200);
    REQUIRE(s.done());
    CHECK(s.remote.calls == Calls{"HEAD /tags/lib%2Fa:v1", "GET /tags/lib%2Fa:v1"});
    CHECK(s.world.call("POST", s.at, "/remotes/tags/lib%2Fa:none").status == 404);
    CHECK(s.world.call("POST", s.at, "/remotes/tags/other%2Fa:v1").status == 200);
    CHECK(s.rows().empty());
  }
  SECTION("a tag that moves, moves there too") {
    const Digest other = s.origin.add(s.manifest("two"));
    CHECK(s.put("lib%2Fa:v1", other).status == 200);
    REQUIRE(s.done());
    CHECK(s.remote.tags["lib/a:v1"] == other.str());
  }
  SECTION("a tag that is not to be replicated stays here") {
    s.remote.calls.clear();
    CHECK(s.world.call("PUT", s.at, "/tags/lib%2Fb:v1/digest/" + s.image.str()).status == 200);
    CHECK(s.rows().empty());
    CHECK(s.remote.calls.empty());
  }
}

TEST_CASE("a tag of another cluster fills gaps, and takes nothing back") {
  test::ReplicationStage s;
  s.start();
  SECTION("a gap") {
    CHECK(s.put("lib%2Fa:v1", s.image, forwarded).status == 200);
    REQUIRE(s.done());
    CHECK(s.remote.calls.back() == put_call(s.image, " forwarded fill"));
  }
  SECTION("none: the remote has moved on") {
    s.remote.tags["lib/a:v1"] = Digest::of("newer").str();
    CHECK(s.put("lib%2Fa:v1", s.image, forwarded).status == 200);
    REQUIRE(s.done());
    CHECK(s.remote.calls == Calls{"HEAD /tags/lib%2Fa:v1"});
  }
  SECTION("the remote moves on while the blobs are copied") {
    s.remote.put_status = 412;
    CHECK(s.put("lib%2Fa:v1", s.image, forwarded).status == 200);
    CHECK(s.done());
  }
  SECTION("a push here while it waits is no gap any more") {
    s.remote.tags["lib/a:v1"] = Digest::of("older").str();
    s.remote.away = true;
    CHECK(s.put("lib%2Fa:v1", s.image, forwarded).status == 200);
    CHECK(s.rows().at(0).forwarded);
    CHECK(s.put("lib%2Fa:v1", s.image).status == 200);
    CHECK_FALSE(s.rows().at(0).forwarded);
    s.remote.away = false;
    REQUIRE(s.done());
    CHECK(s.remote.tags["lib/a:v1"] == s.image.str());
  }
}

TEST_CASE("origins that are given as a name are looked up, and named to other clusters as such") {
  test::ReplicationStage s;
  s.options.origins = {};
  s.options.origins.dns = fmt::format("localhost:{}", s.origin.address.port);
  s.start();
  CHECK(s.world.get(s.at, "/origin").body == s.options.origins.dns);
  REQUIRE(s.comes([&] { return s.put("other%2Fa:v1", s.image).status == 200; }));
}

TEST_CASE("only where there is none: the tag that is there stays") {
  test::ReplicationStage s;
  s.options.remotes.clear();
  s.start();
  const Digest other = s.origin.add(s.manifest("two"));
  const http::Headers fill{{"If-None-Match", "*"}};
  CHECK(s.put("lib%2Fa:v1", s.image, fill).status == 200);
  CHECK(s.put("lib%2Fa:v1", s.image, fill).status == 200);
  CHECK(s.put("lib%2Fa:v1", other, fill).status == 412);
  CHECK(s.world.get(s.at, "/tags/lib%2Fa:v1").body == s.image.str());
}

TEST_CASE("a remote that is away: tags wait, over a restart, and go when it is back") {
  test::ReplicationStage s;
  s.remote.away = true;
  s.start();
  for (const char* tag : {"lib%2Fa:v1", "lib%2Fb:v1", "lib%2Fc:v1", "lib%2Fd:v1", "lib%2Fe:v1"})
    CHECK(s.put(tag, s.image).status == 200);
  REQUIRE(s.comes([&] { return s.told("krakend_tag_replication_remotes_away 1"); }));
  // One at a time looks whether it is back, whatever waits.
  const auto asked = [&] { return s.remote.calls.size(); };
  const size_t before = asked();
  REQUIRE(s.comes([&] { return asked() > before + 8; }));
  CHECK(s.told("krakend_tag_replication_tasks 5"));
  CHECK(s.told("krakend_tag_replication_tasks_failing 0"));
  s.stop();
  s.start();
  CHECK(s.rows().size() == 5);
  s.remote.away = false;
  REQUIRE(s.done());
  CHECK(s.remote.tags.size() == 5);
  CHECK(s.told("krakend_tag_replication_remotes_away 0"));
}

TEST_CASE("a copy that fails is tried again, and does not hold up the others") {
  test::ReplicationStage s;
  s.start();
  s.origin.copy_status = 500;
  CHECK(s.put("lib%2Fa:v1", s.image).status == 200);
  REQUIRE(s.comes([&] { return s.told("krakend_tag_replication_tasks_failing 1"); }));
  CHECK_FALSE(s.told("krakend_tag_replication_failures_total 0"));
  s.origin.copy_status = 200;
  CHECK(s.put("lib%2Fb:v1", s.image).status == 200);
  REQUIRE(s.done());
  CHECK(s.remote.tags.size() == 2);
}

TEST_CASE("a tag that is deleted before its turn is not copied") {
  test::ReplicationStage s;
  s.remote.away = true;
  s.start();
  CHECK(s.put("lib%2Fa:v1", s.image).status == 200);
  CHECK(s.world.call("DELETE", s.at, "/tags/lib%2Fa:v1").status == 202);
  s.remote.away = false;
  REQUIRE(s.done());
  CHECK(s.remote.tags.empty());
}

TEST_CASE("what no remote wants any more is forgotten at start") {
  test::ReplicationStage s;
  s.remote.away = true;
  s.start();
  CHECK(s.put("lib%2Fa:v1", s.image).status == 200);
  CHECK(s.put("lib%2Fb:v1", s.image).status == 200);
  s.stop();
  s.options.remotes = {{s.remote.address.str(), {"/b:"}}};
  s.start();
  REQUIRE(s.comes([&] { return s.rows().size() == 1; }));
  CHECK(s.rows().at(0).name == "lib/b:v1");
  s.stop();
  s.options.remotes.clear();
  s.start();
  CHECK(s.done());
}

TEST_CASE("a remote or a pattern that is none stops the start") {
  test::ReplicationStage s;
  const auto said = [&](const build_index::Remotes& remotes) {
    s.options.remotes = remotes;
    const auto started = s.try_start();
    REQUIRE_FALSE(started);
    s.stop();
    return started.error().message;
  };
  const std::string pattern = said({{"b:1", {".*", "a("}}});
  CHECK(pattern.find("remotes: b:1") != std::string::npos);
  CHECK(pattern.find("\"a(\"") != std::string::npos);
  CHECK(said({{"nonsense", {".*"}}}).find("remotes: \"nonsense\"") != std::string::npos);
}

TEST_CASE("a full queue refuses, and says which limit it is") {
  test::ReplicationStage s;
  s.options.replication.tasks_max = 1;
  s.remote.away = true;
  s.start();
  CHECK(s.put("lib%2Fa:v1", s.image).status == 200);
  CHECK(s.put("lib%2Fa:v1", s.image).status == 200);
  const auto refused = s.put("lib%2Fb:v1", s.image);
  CHECK(refused.status == 500);
  CHECK(refused.body.find("which is the limit") != std::string::npos);
  CHECK(s.told("krakend_tag_replication_refused_total 1"));
}

TEST_CASE("of an index everything goes that its manifests name") {
  test::ReplicationStage s;
  s.start();
  const Digest index = s.origin.add(fmt::format(
      R"({{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json",)"
      R"("manifests":[{{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"{}","size":1}}]}})",
      s.image.str()));
  CHECK(s.put("lib%2Fa:v1", index).status == 200);
  REQUIRE(s.done());
  Calls order;
  for (const Digest& digest : {s.config, s.layer, s.image, index})
    order.push_back("lib/a:v1 " + digest.str() + " origin.there:15002");
  CHECK(s.origin.copies == order);
}

TEST_CASE("aliases of another algorithm go along") {
  test::ReplicationStage s;
  s.start();
  const auto name = ContentDigest::sha512_of("layer");
  const std::string alias = "_krakend%2Fsha512:" + std::string(name.hex());
  CHECK(s.put(alias, s.layer).status == 200);
  const Digest image = s.origin.add(
      fmt::format(R"({{"schemaVersion":2,"config":{{"digest":"{}"}},"layers":[{{"digest":"{}"}}]}})",
                  s.config.str(), name.str()));
  CHECK(s.put("lib%2Fa:v1", image).status == 200);
  REQUIRE(s.done());
  CHECK(s.remote.tags["_krakend/sha512:" + std::string(name.hex())] == s.layer.str());
  CHECK(s.remote.tags["lib/a:v1"] == image.str());
}
