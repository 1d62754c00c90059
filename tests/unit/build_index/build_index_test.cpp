#include "roles/build_index/build_index.h"

#include <map>
#include <set>

#include "krakend/api/requests.h"
#include "krakend/core/content_digest.h"
#include "support/catch.h"
#include "support/world.h"
#include "unit/build_index/fake_origin.h"

using namespace krakend;
using build_index::TagType;

namespace {

const Digest config = Digest::of("config");
const Digest layer = Digest::of("layer");

std::string manifest(const std::string& note) {
  return fmt::format(R"({{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",)"
                     R"("note":"{}","config":{{"digest":"{}"}},"layers":[{{"digest":"{}"}}]}})",
                     note, config.str(), layer.str());
}

struct Fixture {
  test::World world;
  test::FakeOrigin origin{world};
  backend::Backends backends;
  std::unique_ptr<build_index::BuildIndex> index;
  io::Address at;
  Digest image;

  Fixture() {
    auto names = backend::make_name_path("docker_tag", world.directory / "tags");
    REQUIRE(names);
    REQUIRE(backends.add(".*", backend::make_file_backend(world.loop, *world.disk, std::move(*names))));
    origin.add("config");
    origin.add("layer");
    image = origin.add(manifest("one"));
    start({{"^plain/", TagType::plain}, {"^(lib|drv|repo)", TagType::docker}});
  }
  ~Fixture() { stop(); }

  void start(std::vector<std::pair<std::string, TagType>> types,
             build_index::ResponseCacheOptions cache = {}) {
    build_index::BuildIndexOptions options;
    options.cache = cache;
    options.listen = {"127.0.0.1", 0};
    options.origins = {origin.address.str()};
    options.tag_types = std::move(types);
    api::Services services{world.loop,  *world.clock,  *world.random, *world.net,
                           *world.disk, *world.server, *world.client, Logger()};
    index = std::make_unique<build_index::BuildIndex>(services, backends, nullptr, options);
    auto bound = index->start();
    REQUIRE(bound);
    at = *bound;
  }
  void stop() {
    world.run(world.server->stop(1s));
    world.server = http::make_server(world.loop, *world.clock, *world.net, Logger());
    world.run(index->stop());
    index.reset();
  }
  http::ClientResponse put(const std::string& tag, const Digest& digest, const std::string& query = {}) {
    return world.call("PUT", at, "/tags/" + tag + "/digest/" + digest.str() + query);
  }
};

}  // namespace

TEST_CASE("a tag that was put can be read: bare digest, no newline") {
  Fixture f;
  const auto put = f.put("lib%2Fcap1:v1", f.image, "?replicate=true");
  CHECK(put.status == 200);
  CHECK(put.body.empty());
  const auto got = f.world.get(f.at, "/tags/lib%2Fcap1:v1");
  CHECK(got.status == 200);
  CHECK(got.body == f.image.str());
  CHECK(got.headers.get("Content-Type") == "text/plain; charset=utf-8");
  CHECK(f.origin.namespaces == std::set<std::string>{"lib/cap1:v1"});
  const auto head = f.world.call("HEAD", f.at, "/tags/lib%2Fcap1:v1");
  CHECK(head.status == 200);
  CHECK(head.headers.get("Content-Length") == "71");
  SECTION("double-escaped and fully escaped names are the same tag") {
    CHECK(f.world.get(f.at, "/tags/lib%252Fcap1%253Av1").body == f.image.str());
    CHECK(f.world.get(f.at, "/tags/lib%2Fcap1%3Av1").body == f.image.str());
  }
  SECTION("it survives a restart of the build-index") {
    f.stop();
    f.start({{".*", TagType::docker}});
    CHECK(f.world.get(f.at, "/tags/lib%2Fcap1:v1").body == f.image.str());
  }
}

TEST_CASE("a tag that is put again changes at once") {
  Fixture f;
  const Digest second = f.origin.add(manifest("two"));
  REQUIRE(f.put("lib%2Fcap1:v1", f.image).status == 200);
  REQUIRE(f.put("lib%2Fcap1:v1", second).status == 200);
  CHECK(f.world.get(f.at, "/tags/lib%2Fcap1:v1").body == second.str());
  REQUIRE(f.put("lib%2Fcap1:v1", f.image).status == 200);
  CHECK(f.world.get(f.at, "/tags/lib%2Fcap1:v1").body == f.image.str());
}

TEST_CASE("what another build-index changes shows after its time, what this one changes at once") {
  Fixture f;
  const Digest other = f.origin.add(manifest("two"));
  const auto tag = [&] { return f.world.get(f.at, "/tags/lib%2Fc:v1").body; };
  const auto listed = [&] {
    const auto repositories = f.world.get(f.at, "/list/lib").body;
    const auto tags = f.world.get(f.at, "/repositories/lib%2Fc/tags").body;
    return std::pair(repositories.find("v2") != std::string::npos, tags.find("v2") != std::string::npos);
  };
  const auto put_behind = [&](const std::string& name) {
    auto backend = f.backends.find("lib/c:v1");
    REQUIRE(backend);
    REQUIRE(f.world.run((*backend)->put(name, other.str())));
  };
  CHECK(f.put("lib%2Fc:v1", f.image).status == 200);
  CHECK(tag() == f.image.str());
  CHECK(listed() == std::pair(false, false));
  put_behind("lib/c:v1");
  put_behind("lib/c:v2");

  SECTION("kept") {
    CHECK(tag() == f.image.str());
    CHECK_FALSE(listed().first);
    CHECK(f.put("lib%2Fc:v3", f.image).status == 200);
    CHECK(listed() == std::pair(true, true));
    CHECK(tag() == f.image.str());
    CHECK(f.put("lib%2Fc:v1", other).status == 200);
    CHECK(tag() == other.str());
  }
  SECTION("changed by a neighbour's call") {
    const auto status =
        f.world
            .call("PUT", f.at, "/internal/duplicate/tags/lib%2Fc:v1/digest/" + other.str(), R"({"delay":0})")
            .status;
    CHECK(status == 200);
    CHECK(tag() == other.str());
  }
  SECTION("nothing is kept where that is not wanted") {
    f.stop();
    f.start({{".*", TagType::docker}}, {0s, 0s, 0s, 0s});
    CHECK(tag() == other.str());
    put_behind("lib/c:v2");
    CHECK(listed() == std::pair(true, true));
  }
}

TEST_CASE("an unknown tag is 404 with an empty body") {
  Fixture f;
  for (const std::string path : {"/tags/lib%2Fcap1:none", "/tags/nope%2Fx:y", "/tags/no-colon"}) {
    CAPTURE(path);
    const auto got = f.world.get(f.at, path);
    CHECK(got.status == 404);
    CHECK(got.body.empty());
    CHECK(f.world.call("HEAD", f.at, path).status == 404);
  }
}

TEST_CASE("a missing dependency is named and the tag is not stored") {
  Fixture f;
  f.origin.blobs.erase(layer);
  const auto put = f.put("lib%2Fcap1:v1", f.image);
  CHECK(put.status == 500);
  CHECK(put.body.find("missing dependency " + layer.str()) != std::string::npos);
  CHECK(f.world.get(f.at, "/tags/lib%2Fcap1:v1").status == 404);
}

TEST_CASE("a manifest that comes late is waited for") {
  Fixture f;
  f.origin.hidden = 1;
  CHECK(f.put("lib%2Fcap1:v1", f.image).status == 200);
  CHECK(f.origin.downloads == 2);
}

TEST_CASE("what is no manifest cannot be tagged, unless tags of that name are plain") {
  Fixture f;
  const auto put = f.put("lib%2Fcap1:v1", config);
  CHECK(put.status == 500);
  CHECK(put.body.find("parse manifest") != std::string::npos);
  CHECK(f.put("plain%2Fblob:v1", config).status == 200);
  CHECK(f.put("other%2Fblob:v1", config).status == 500);  // no rule matches
}

TEST_CASE("bad parameters of a put") {
  Fixture f;
  CHECK(f.world.call("PUT", f.at, "/tags/x%3Ay/digest/zz").status == 400);
  CHECK(f.world.call("PUT", f.at, "/tags//digest/" + f.image.str()).status == 400);
  CHECK(f.put("x%3Ay", f.image, "?replicate=maybe").status == 500);
}

TEST_CASE("duplicates of neighbours are stored without a check") {
  Fixture f;
  const std::string path = "/internal/duplicate/tags/drv%2Frepo:v1/digest/" + Digest::of("anything").str();
  CHECK(f.world.call("PUT", f.at, path, R"({"delay":1200000000000})").status == 200);
  CHECK(f.world.get(f.at, "/tags/drv%2Frepo:v1").body == Digest::of("anything").str());
  CHECK(f.world.call("PUT", f.at, path, "x").status == 500);
  CHECK(f.world.call("PUT", f.at, path).status == 500);
  CHECK(f.world.call("PUT", f.at, "/internal/duplicate/tags/x%3Ay/digest/zz", "{}").status == 400);
}

TEST_CASE("replication without remotes is a lookup") {
  Fixture f;
  REQUIRE(f.put("drv%2Frepo:v1", f.image).status == 200);
  CHECK(f.world.call("POST", f.at, "/remotes/tags/drv%2Frepo:v1").status == 200);
  CHECK(f.world.call("POST", f.at, "/remotes/tags/drv%2Frepo:none").status == 404);
  const std::string path = "/internal/duplicate/remotes/tags/repl%2Fimg:v1/digest/";
  CHECK(f.world.call("POST", f.at, path + f.image.str(), R"({"dependencies":null,"delay":0})").status == 200);
  CHECK(f.world.call("POST", f.at, path + "zz", R"({"dependencies":null,"delay":0})").status == 500);
}

TEST_CASE("lists, byte for byte") {
  Fixture f;
  for (const std::string tag : {"drv%2Frepo:v1", "lib%2Fcap1:v1", "lib%2Fcap1:v2"})
    REQUIRE(f.put(tag, f.image).status == 200);
  const auto list = [&f](const std::string& path) { return f.world.get(f.at, path).body; };
  CHECK(
      list("/list/") ==
      "{\"Links\":{\"next\":\"\",\"self\":\"/list/\"},\"size\":3,\"result\":[\"drv/repo:v1\",\"lib/cap1:v1\","
      "\"lib/cap1:v2\"]}\n");
  CHECK(list("/list//drv/repo/_manifests/tags") ==
        "{\"Links\":{\"next\":\"\",\"self\":\"/list//drv/repo/_manifests/tags\"},\"size\":1,\"result\":"
        "[\"drv/repo:v1\"]}\n");
  CHECK(list("/list/drv/repo/_manifests/tags") ==
        "{\"Links\":{\"next\":\"\",\"self\":\"/list/drv/repo/_manifests/tags\"},\"size\":1,\"result\":"
        "[\"drv/repo:v1\"]}\n");
  CHECK(list("/repositories/lib%252Fcap1/tags") ==
        "{\"Links\":{\"next\":\"\",\"self\":\"/repositories/lib%252Fcap1/tags\"},\"size\":2,\"result\":"
        "[\"v1\",\"v2\"]}\n");
  CHECK(list("/repositories/lib%2Fcap1/tags?limit=1") ==
        "{\"Links\":{\"next\":\"/repositories/lib%2Fcap1/tags?limit=1\\u0026offset=lib%2Fcap1:v1\",\"self\":"
        "\"/repositories/lib%2Fcap1/tags?limit=1\"},\"size\":1,\"result\":[\"v1\"]}\n");
  CHECK(list("/list/nosuch") ==
        "{\"Links\":{\"next\":\"\",\"self\":\"/list/nosuch\"},\"size\":0,\"result\":null}\n");
  CHECK(f.world.get(f.at, "/list/?limit=0").status == 400);
  CHECK(f.world.get(f.at, "/list/lib?foo=1").status == 400);
  CHECK(f.world.get(f.at, "/repositories/lib/cap1/tags").status == 404);
}

TEST_CASE("the other endpoints") {
  Fixture f;
  CHECK(f.world.get(f.at, "/health").body == "OK\n");
  CHECK(f.world.get(f.at, "/readiness").body == "OK\n");
  CHECK(f.world.get(f.at, "/origin").body == f.origin.address.str());
  CHECK(f.world.call("DELETE", f.at, "/health").status == 405);
  CHECK(f.world.get(f.at, "/tags/").status == 404);
}

TEST_CASE("a wrong tag_types expression stops the start") {
  Fixture f;
  f.stop();
  build_index::BuildIndexOptions options;
  options.listen = {"127.0.0.1", 0};
  options.tag_types = {{"(", TagType::docker}};
  api::Services services{f.world.loop,  *f.world.clock,  *f.world.random, *f.world.net,
                         *f.world.disk, *f.world.server, *f.world.client, Logger()};
  f.index = std::make_unique<build_index::BuildIndex>(services, f.backends, nullptr, options);
  const auto started = f.index->start();
  REQUIRE_FALSE(started);
  CHECK(started.error().message.find("(") != std::string::npos);
}

TEST_CASE("a deleted tag is gone, also from listings") {
  Fixture f;
  REQUIRE(f.put("lib%2Fcap1:v1", f.image).status == 200);
  REQUIRE(f.put("lib%2Fcap1:v2", f.image).status == 200);
  CHECK(f.world.call("DELETE", f.at, "/tags/lib%2Fcap1:v1").status == 202);
  CHECK(f.world.get(f.at, "/tags/lib%2Fcap1:v1").status == 404);
  CHECK(f.world.get(f.at, "/list/lib/cap1/_manifests/tags").body.find("v1") == std::string::npos);
  CHECK(f.world.get(f.at, "/tags/lib%2Fcap1:v2").status == 200);
  CHECK(f.world.call("DELETE", f.at, "/tags/lib%2Fcap1:v1").status == 404);
  CHECK(f.world.call("DELETE", f.at, "/tags/no-tag").status == 404);
}

TEST_CASE("notes of krakend's own name what need not be there") {
  Fixture f;
  const Digest gone = Digest::of("gone");
  CHECK(f.put("_krakend%2Fdeleted%2F2026-11-25:" + gone.hex(), gone).status == 200);
  CHECK(f.world.get(f.at, "/tags/_krakend%2Fdeleted%2F2026-11-25:" + gone.hex()).body == gone.str());
}

TEST_CASE("a manifest may name its layers by sha512: the alias leads to them") {
  Fixture f;
  const auto name = ContentDigest::sha512_of("layer");
  const Digest digest = f.origin.add(
      fmt::format(R"({{"schemaVersion":2,"config":{{"digest":"{}"}},"layers":[{{"digest":"{}"}}]}})",
                  config.str(), name.str()));
  CHECK(f.put("lib%2Fcap1:v1", digest).status == 500);
  REQUIRE(f.put("_krakend%2Fsha512:" + std::string(name.hex()), layer).status == 200);
  CHECK(f.put("lib%2Fcap1:v1", digest).status == 200);
}

TEST_CASE("layers that are fetched elsewhere need not be at the origins") {
  Fixture f;
  const Digest digest = f.origin.add(fmt::format(
      R"({{"schemaVersion":2,"config":{{"digest":"{}"}},"layers":[{{"digest":"{}","urls":["https://example.com/x"]}}]}})",
      config.str(), Digest::of("elsewhere").str()));
  CHECK(f.put("lib%2Fcap1:v1", digest).status == 200);
}
