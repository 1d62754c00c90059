#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>

#include "harness.h"
#include "support/catch.h"

namespace krakend::registry {
namespace {

const std::string config = "{}";
const std::string layer = "layer bytes";

std::string descriptor(const Digest& digest) {
  return fmt::format(R"({{"mediaType":"m","digest":"{}","size":1}})", digest.str());
}

std::string image(const std::string& more = "") {
  return fmt::format(R"({{"schemaVersion":2,"mediaType":"{}","config":{},"layers":[{}]{}}})", json_type,
                     descriptor(Digest::of(config)), descriptor(Digest::of(layer)), more);
}

/// A registry that has the blobs of image().
struct Filled : Harness {
  explicit Filled(RegistryOptions options = {}) : Harness(options) {
    add_blob(config);
    add_blob(layer);
  }
  Answer put(const std::string& reference, const std::string& manifest, const std::string& type = json_type) {
    return send("PUT", "/v2/lib/a/manifests/" + reference, manifest, {{"Content-Type", type}});
  }
};

TEST_CASE("a manifest is pushed and pulled by tag and by digest") {
  Filled registry;
  const Digest digest = Digest::of(image());
  const Answer pushed = registry.put("v1", image());
  CHECK(pushed.status == 201);
  CHECK(pushed.header("Location") == "/v2/lib/a/manifests/" + digest.str());
  CHECK(pushed.header("Docker-Content-Digest") == digest.str());
  CHECK(pushed.content_length == 0);
  CHECK(registry.transfer->tags["lib/a"]["v1"] == digest);
  CHECK_FALSE(pushed.headers.has("OCI-Subject"));

  for (const std::string& reference : {std::string("v1"), digest.str()}) {
    const Answer pulled = registry.get("/v2/lib/a/manifests/" + reference);
    CHECK(pulled.status == 200);
    CHECK(pulled.body == image());
    CHECK(pulled.header("Content-Type") == json_type);
    CHECK(pulled.header("Docker-Content-Digest") == digest.str());
    CHECK(pulled.header("Etag") == "\"" + digest.str() + "\"");
    CHECK(pulled.header("X-Krakend-Source") == "disk");
    const Answer head = registry.head("/v2/lib/a/manifests/" + reference);
    CHECK(head.status == 200);
    CHECK(head.content_length == image().size());
    CHECK(head.header("Content-Type") == json_type);
    CHECK(head.header("Docker-Content-Digest") == digest.str());
  }
}

TEST_CASE("Accept is not enforced") {
  Filled registry;
  registry.put("v1", image());
  CHECK(registry.get("/v2/lib/a/manifests/v1", {{"Accept", "text/html"}}).status == 200);
}

TEST_CASE("the Content-Type of an index without mediaType") {
  Filled registry;
  const std::string index =
      fmt::format(R"({{"schemaVersion":2,"manifests":[{}]}})", descriptor(Digest::of(image())));
  registry.put("child", image());
  const std::string type = "application/vnd.oci.image.index.v1+json";
  CHECK(registry.put("all", index, type).status == 201);
  CHECK(registry.get("/v2/lib/a/manifests/all").header("Content-Type") == type);
}

TEST_CASE("If-None-Match of a manifest") {
  Filled registry;
  registry.put("v1", image());
  const std::string etag = "\"" + Digest::of(image()).str() + "\"";
  const Answer answer = registry.get("/v2/lib/a/manifests/v1", {{"If-None-Match", etag}});
  CHECK(answer.status == 304);
  CHECK(answer.body.empty());
  CHECK(registry.get("/v2/lib/a/manifests/v1", {{"If-None-Match", "\"x\""}}).status == 200);
}

TEST_CASE("a tag that is put again changes") {
  Filled registry;
  registry.put("v1", image());
  const std::string other = image(R"(,"annotations":{"a":"b"})");
  CHECK(registry.put("v1", other).status == 201);
  CHECK(registry.get("/v2/lib/a/manifests/v1").body == other);
}

TEST_CASE("unknown tags and manifests are 404") {
  Filled registry;
  const Answer tag = registry.get("/v2/lib/a/manifests/none");
  CHECK(tag.status == 404);
  CHECK(tag.code() == "MANIFEST_UNKNOWN");
  CHECK(tag.body.find("\"detail\":{\"Tag\":\"none\"}") != std::string::npos);
  const Answer digest = registry.get("/v2/lib/a/manifests/" + Digest::of("none").str());
  CHECK(digest.status == 404);
  CHECK(digest.code() == "MANIFEST_UNKNOWN");
  // The tag is there, its manifest is gone.
  registry.transfer->tags["lib/a"]["lost"] = Digest::of("none");
  CHECK(registry.head("/v2/lib/a/manifests/lost").status == 404);
  registry.transfer->tag_error = Error{Errc::network, "no build-index answers"};
  const Answer down = registry.get("/v2/lib/a/manifests/v1");
  CHECK(down.status == 503);
  CHECK(down.headers.has("Retry-After"));
}

TEST_CASE("a blob that is no manifest") {
  Filled registry({.manifest_size_max = 100});
  CHECK(registry.get("/v2/lib/a/manifests/" + Digest::of(layer).str()).code() == "MANIFEST_UNKNOWN");
  const Digest large = registry.add_blob(std::string(101, ' '));
  const Answer answer = registry.get("/v2/lib/a/manifests/" + large.str());
  CHECK(answer.status == 404);
  CHECK(answer.code() == "MANIFEST_UNKNOWN");
}

TEST_CASE("a push by digest makes no tag, and the digest must match") {
  Filled registry;
  const Digest digest = Digest::of(image());
  CHECK(registry.put(digest.str(), image()).status == 201);
  CHECK(registry.transfer->tags.empty());
  const Answer wrong = registry.put(Digest::of("x").str(), image());
  CHECK(wrong.status == 400);
  CHECK(wrong.code() == "DIGEST_INVALID");
}

TEST_CASE("every missing blob is named") {
  Harness registry;
  const Answer answer =
      registry.send("PUT", "/v2/lib/a/manifests/v1", image(), {{"Content-Type", json_type}});
  CHECK(answer.status == 400);
  const auto errors = nlohmann::json::parse(answer.body).at("errors");
  REQUIRE(errors.size() == 2);
  CHECK(errors[0].at("code") == "MANIFEST_BLOB_UNKNOWN");
  CHECK(errors[0].at("detail") == Digest::of(config).str());
  CHECK(errors[1].at("detail") == Digest::of(layer).str());
  CHECK(registry.transfer->puts == 0);
  CHECK(registry.transfer->tags.empty());
}

TEST_CASE("a look-up that fails does not count as missing") {
  Filled registry;
  registry.transfer->stat_error = Error{Errc::unavailable, "origins are away"};
  CHECK(registry.put("v1", image()).status == 503);
}

TEST_CASE("a manifest that is too large or broken") {
  Filled registry({.manifest_size_max = 1000});
  const Answer large = registry.put("v1", image(R"(,"annotations":{"a":")" + std::string(1000, 'x') + "\"}"));
  CHECK(large.status == 413);
  CHECK(large.code() == "MANIFEST_INVALID");
  const Answer garbage = registry.put("v1", "x");
  CHECK(garbage.status == 400);
  CHECK(garbage.code() == "MANIFEST_INVALID");
  const Answer old = registry.put("v1", R"({"schemaVersion":1,"name":"a"})", "application/json");
  CHECK(old.status == 400);
  CHECK(old.code() == "MANIFEST_INVALID");
  CHECK_THAT(old.message(), Catch::Matchers::Contains("schema 1"));
  Call cut{.method = "PUT", .target = "/v2/lib/a/manifests/v1", .body = image()};
  cut.prepare = [](FakeBody& body) { body.breaks(); };
  const Answer broken = registry.call(cut);
  CHECK(broken.status == 400);
  CHECK(broken.close);
  CHECK(registry.transfer->tags.empty());
}

TEST_CASE("failures while a manifest is stored") {
  Filled registry;
  registry.transfer->put_error = Error{Errc::network, "origin is away"};
  CHECK(registry.put("v1", image()).status == 503);
  registry.transfer->put_error.reset();
  registry.transfer->put_tag_error = Error{Errc::internal, "missing dependency", 500};
  const Answer answer = registry.put("v1", image());
  CHECK(answer.status == 500);
  CHECK(answer.message() == "missing dependency");
  registry.transfer->put_tag_error.reset();
  registry.transfer->create_error = Error{Errc::unavailable, "too many uploads"};
  CHECK(registry.put("v1", image()).status == 503);
  CHECK(registry.uploads_on_disk() == 0);
}

}  // namespace
}  // namespace krakend::registry
