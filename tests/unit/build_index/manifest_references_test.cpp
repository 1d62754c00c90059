#include "roles/build_index/manifest_references.h"

#include "support/catch.h"

using namespace krakend;
using namespace krakend::build_index;

namespace {

const Digest c = Digest::of("config");
const Digest l1 = Digest::of("layer 1");
const Digest l2 = Digest::of("layer 2");

std::string image(const std::string& type) {
  const std::string media = type.empty() ? "" : fmt::format(R"("mediaType":"{}",)", type);
  return fmt::format(R"({{"schemaVersion":2,{}"config":{{"digest":"{}"}},)"
                     R"("layers":[{{"digest":"{}"}},{{"digest":"{}"}}]}})",
                     media, c.str(), l1.str(), l2.str());
}

std::string index(const std::string& type) {
  const std::string media = type.empty() ? "" : fmt::format(R"("mediaType":"{}",)", type);
  return fmt::format(R"({{"schemaVersion":2,{}"manifests":[{{"digest":"{}"}},{{"digest":"{}"}}]}})", media,
                     l2.str(), l1.str());
}

std::string error_of(std::string_view json) {
  const auto references = manifest_references(json);
  REQUIRE_FALSE(references);
  return references.error().message;
}

}  // namespace

TEST_CASE("an image refers to its config, then its layers") {
  for (const std::string type : {"application/vnd.docker.distribution.manifest.v2+json",
                                 "application/vnd.oci.image.manifest.v1+json", ""}) {
    CAPTURE(type);
    const auto references = manifest_references(image(type));
    REQUIRE(references);
    CHECK(*references == std::vector<Digest>{c, l1, l2});
  }
}

TEST_CASE("a list refers to its manifests in document order") {
  for (const std::string type : {"application/vnd.docker.distribution.manifest.list.v2+json",
                                 "application/vnd.oci.image.index.v1+json", ""}) {
    CAPTURE(type);
    const auto references = manifest_references(index(type));
    REQUIRE(references);
    CHECK(*references == std::vector<Digest>{l2, l1});
  }
}

TEST_CASE("a captured OCI manifest") {
  const auto references = manifest_references(
      R"({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": )"
      R"({"mediaType": "application/vnd.oci.image.config.v1+json", "digest": )"
      R"("sha256:b45f347d515b2af73955f3288f763a65663477ccf63d30773f159362a34e455d", "size": 305}, "layers": )"
      R"([{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": )"
      R"("sha256:5279e75323d333b0588bbf8335f4bd1c59a9a5f32e4645142ead2d30b74358bb", "size": 2605}, )"
      R"({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": )"
      R"("sha256:1f88a52b15702e941079b6f8fc2f414a96f207584bcc4ce997fa8f63dee43943", "size": 2605}]})");
  REQUIRE(references);
  REQUIRE(references->size() == 3);
  CHECK((*references)[0].shard_id() == "b45f");
  CHECK((*references)[2].shard_id() == "1f88");
}

TEST_CASE("what is no manifest says why") {
  CHECK(error_of("not json") == "parse manifest: not a JSON object");
  CHECK(error_of("[]") == "parse manifest: not a JSON object");
  CHECK(error_of("{}") == "parse manifest: unsupported schema version: 0");
  CHECK(error_of(R"({"schemaVersion":1})") == "parse manifest: unsupported schema version: 1");
  CHECK(error_of(R"({"schemaVersion":2,"mediaType":"text/plain"})") ==
        "parse manifest: unknown manifest mediatype: text/plain");
  CHECK(error_of(R"({"schemaVersion":2})") == "parse manifest: it has no config");
  CHECK_FALSE(error_of(R"({"schemaVersion":2,"config":{"digest":"md5:00"}})").empty());
  CHECK_FALSE(error_of(R"({"schemaVersion":2,"config":7})").empty());
  CHECK_FALSE(error_of(R"({"schemaVersion":2,"manifests":[7]})").empty());
}
