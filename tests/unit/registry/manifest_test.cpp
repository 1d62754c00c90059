#include "krakend/registry/manifest.h"

#include <fmt/format.h>

#include <string>

#include "support/catch.h"

namespace krakend::registry {
namespace {

const std::string config = "sha256:b45f347d515b2af73955f3288f763a65663477ccf63d30773f159362a34e455d";
const std::string layer = "sha256:5279e75323d333b0588bbf8335f4bd1c59a9a5f32e4645142ead2d30b74358bb";

std::string descriptor(const std::string& digest, const std::string& more = "") {
  return fmt::format(R"({{"mediaType":"m","digest":"{}","size":305{}}})", digest, more);
}

std::string image(const std::string& type, const std::string& more = "") {
  const std::string media = type.empty() ? "" : fmt::format(R"("mediaType":"{}",)", type);
  return fmt::format(R"({{"schemaVersion":2,{}"config":{},"layers":[{}]{}}})", media, descriptor(config),
                     descriptor(layer), more);
}

std::string index(const std::string& type) {
  const std::string media = type.empty() ? "" : fmt::format(R"("mediaType":"{}",)", type);
  return fmt::format(R"({{"schemaVersion":2,{}"manifests":[{},{}]}})", media, descriptor(config),
                     descriptor(layer));
}

std::string error_of(const std::string& json, std::string_view type = media_type::oci_manifest) {
  INFO(json);
  const auto manifest = parse_manifest(json, type);
  REQUIRE_FALSE(manifest);
  CHECK(manifest.error().code == Errc::invalid_argument);
  return manifest.error().message;
}

using Catch::Matchers::Contains;

TEST_CASE("image manifests of both families") {
  for (const auto type : {media_type::oci_manifest, media_type::docker_manifest}) {
    const auto manifest = parse_manifest(image(std::string(type)), type);
    REQUIRE(manifest);
    CHECK(manifest->media_type == type);
    REQUIRE(manifest->references.size() == 2);
    CHECK(manifest->references[0].str() == config);
    CHECK(manifest->references[1].str() == layer);
    CHECK(manifest->sizes.at(manifest->references[1]) == 305);
    CHECK_FALSE(manifest->subject);
  }
}

TEST_CASE("indexes of both families") {
  for (const auto type : {media_type::oci_index, media_type::docker_list}) {
    const auto manifest = parse_manifest(index(std::string(type)), type);
    REQUIRE(manifest);
    CHECK(manifest->media_type == type);
    CHECK(manifest->references.size() == 2);
  }
  CHECK(parse_manifest(R"({"schemaVersion":2,"manifests":[]})", "")->media_type == media_type::oci_index);
}

TEST_CASE("without mediaType the content tells the type") {
  CHECK(parse_manifest(image(""), "application/json; charset=utf-8")->media_type == media_type::oci_manifest);
  CHECK(parse_manifest(index(""), "application/x-www-form-urlencoded")->media_type == media_type::oci_index);
}

TEST_CASE("a Content-Type that contradicts the document is refused") {
  CHECK_THAT(error_of(image(std::string(media_type::docker_manifest))), Contains("Content-Type"));
  CHECK_THAT(error_of(image(""), media_type::docker_manifest), Contains("no mediaType"));
}

TEST_CASE("a document of another type passes, and what looks like a descriptor in it is a reference") {
  const auto manifest = parse_manifest(
      fmt::format(
          R"({{"mediaType":"application/vnd.acme.thing.v1+json","blobs":[{}],"config":{},"layers":"none"}})",
          descriptor(layer), descriptor(config)),
      "application/vnd.acme.thing.v1+json");
  REQUIRE(manifest);
  CHECK(manifest->media_type == "application/vnd.acme.thing.v1+json");
  CHECK(manifest->references.size() == 2);
}

TEST_CASE("schema 1 is refused clearly") {
  CHECK_THAT(error_of(R"({"schemaVersion":1,"name":"a","fsLayers":[]})"), Contains("schema 1"));
  CHECK_THAT(error_of(image(""), "application/vnd.docker.distribution.manifest.v1+prettyjws"),
             Contains("schema 1"));
}

TEST_CASE("documents that are no manifests") {
  for (const char* json : {"", "x", "[]", "1", "null", "{", R"({"schemaVersion":2)"}) error_of(json);
  error_of(R"({"config":{}})");
  error_of(R"({"schemaVersion":"2"})");
  error_of(R"({"schemaVersion":3})");
  CHECK_THAT(error_of(R"({"schemaVersion":2})"), Contains("config"));
  error_of(R"({"schemaVersion":2,"config":[]})");
  error_of(R"({"schemaVersion":2,"config":{"digest":7}})");
  error_of(R"({"schemaVersion":2,"config":{"digest":"sha256:zz"}})");
  error_of(fmt::format(R"({{"schemaVersion":2,"config":{{"digest":"{}","size":-1}}}})", config));
  error_of(fmt::format(R"({{"schemaVersion":2,"config":{},"layers":{{}}}})", descriptor(config)));
  error_of(fmt::format(R"({{"schemaVersion":2,"config":{},"layers":[1]}})", descriptor(config)));
}

TEST_CASE("a document is a manifest or an index, not both") {
  error_of(fmt::format(R"({{"schemaVersion":2,"mediaType":"{}","config":{},"manifests":[]}})",
                       media_type::oci_manifest, descriptor(config)));
  error_of(fmt::format(R"({{"schemaVersion":2,"manifests":[],"config":{}}})", descriptor(config)),
           media_type::oci_index);
}

TEST_CASE("layers that are fetched elsewhere and the subject are no references") {
  const std::string foreign = descriptor(layer, R"(,"urls":["https://example.com/l"])");
  const std::string json = fmt::format(R"({{"schemaVersion":2,"config":{},"layers":[{}],"subject":{}}})",
                                       descriptor(config), foreign, descriptor(layer));
  const auto manifest = parse_manifest(json, "");
  REQUIRE(manifest);
  REQUIRE(manifest->references.size() == 1);
  CHECK(manifest->references[0].str() == config);
  CHECK(manifest->subject->str() == layer);
}

TEST_CASE("a digest that is named twice is looked up once") {
  const std::string json = fmt::format(R"({{"schemaVersion":2,"config":{},"layers":[{},{}]}})",
                                       descriptor(config), descriptor(layer), descriptor(layer));
  CHECK(parse_manifest(json, "")->references.size() == 2);
}

TEST_CASE("depth and number of references are limited") {
  const std::string deep =
      image("", R"(,"annotations":)" + std::string(100'000, '[') + std::string(100'000, ']'));
  error_of(deep);
  CHECK_FALSE(manifest_media_type(deep));
  std::string layers;
  for (size_t i = 0; i <= manifest_references_max; ++i) layers += (i == 0 ? "" : ",") + descriptor(layer);
  CHECK_THAT(
      error_of(fmt::format(R"({{"schemaVersion":2,"config":{},"layers":[{}]}})", descriptor(config), layers)),
      Contains("at most"));
  CHECK(
      parse_manifest(image("", R"(,"annotations":{"a":"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\"[[["})"), ""));
}

TEST_CASE("media type of stored documents") {
  CHECK(manifest_media_type(image("")) == std::string(media_type::oci_manifest));
  CHECK(manifest_media_type(index("")) == std::string(media_type::oci_index));
  CHECK(manifest_media_type(index(std::string(media_type::docker_list))) ==
        std::string(media_type::docker_list));
  CHECK(manifest_media_type("{\"mediaType\":\"a\\r\\nX: y\"}") == std::string("application/json"));
  CHECK_FALSE(manifest_media_type("layer bytes"));
  CHECK_FALSE(manifest_media_type("[]"));
}

}  // namespace
}  // namespace krakend::registry
