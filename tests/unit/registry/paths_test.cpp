#include "registry/paths.h"

#include <string>

#include "krakend/core/hex.h"
#include "support/catch.h"

namespace krakend::registry {
namespace {

const std::string digest_text = "sha256:5279e75323d333b0588bbf8335f4bd1c59a9a5f32e4645142ead2d30b74358bb";

Target target_of(const std::string& path) {
  INFO(path);
  const ParsedPath parsed = parse_path(path);
  REQUIRE(parsed.found);
  REQUIRE_FALSE(parsed.error);
  return parsed.target;
}

std::string error_of(const std::string& path) {
  INFO(path);
  const ParsedPath parsed = parse_path(path);
  REQUIRE(parsed.found);
  REQUIRE(parsed.error);
  return std::string(parsed.error->code);
}

TEST_CASE("paths without a repository") {
  CHECK(target_of("/").endpoint == Endpoint::root);
  CHECK(target_of("/v2").endpoint == Endpoint::base);
  CHECK(target_of("/v2/").endpoint == Endpoint::base);
  CHECK(target_of("/v2/_catalog").endpoint == Endpoint::catalog);
}

TEST_CASE("manifests by tag and by digest") {
  const Target by_tag = target_of("/v2/lib/cap1/manifests/v1");
  CHECK(by_tag.endpoint == Endpoint::manifest);
  CHECK(by_tag.name == "lib/cap1");
  CHECK(by_tag.tag == "v1");
  CHECK_FALSE(by_tag.digest);
  const Target by_digest = target_of("/v2/lib/cap1/manifests/" + digest_text);
  CHECK(by_digest.digest->str() == digest_text);
  CHECK(by_digest.tag.empty());
}

TEST_CASE("blobs, uploads and tags") {
  CHECK(target_of("/v2/a/b/c/blobs/" + digest_text).digest->str() == digest_text);
  CHECK(target_of("/v2/a/b/c/blobs/" + digest_text).name == "a/b/c");
  CHECK(target_of("/v2/a/blobs/uploads/").endpoint == Endpoint::upload_start);
  CHECK(target_of("/v2/a/blobs/uploads").endpoint == Endpoint::upload_start);
  const Target upload = target_of("/v2/a/blobs/uploads/146ef895-4ec9");
  CHECK(upload.endpoint == Endpoint::upload);
  CHECK(upload.upload == "146ef895-4ec9");
  CHECK(target_of("/v2/a/tags/list").endpoint == Endpoint::tags);
}

TEST_CASE("the end of the path decides when the name holds the same words") {
  CHECK(target_of("/v2/a/manifests/b/manifests/t").name == "a/manifests/b");
  CHECK(target_of("/v2/a/tags/list/tags/list").name == "a/tags/list");
  CHECK(target_of("/v2/a/blobs/uploads/manifests/t").name == "a/blobs/uploads");
  CHECK(target_of("/v2/blobs/blobs/uploads/").name == "blobs");
}

TEST_CASE("escapes are decoded once") {
  CHECK(target_of("/v2/lib%2Fcap1/manifests/v1").name == "lib/cap1");
  CHECK(target_of("/v2/lib/blobs/sha256%3A" + digest_text.substr(7)).digest->str() == digest_text);
  CHECK(error_of("/v2/lib%252Fcap1/manifests/v1") == "NAME_INVALID");
  CHECK(error_of("/v2/lib%zz/manifests/v1") == "NAME_INVALID");
}

TEST_CASE("bad names, tags and digests are told apart") {
  CHECK(error_of("/v2/UPPER/tags/list") == "NAME_INVALID");
  CHECK(error_of("/v2/a//b/tags/list") == "NAME_INVALID");
  CHECK(error_of("/v2//tags/list") == "NAME_INVALID");
  CHECK(error_of("/v2/blobs/uploads/") == "NAME_INVALID");
  CHECK(error_of("/v2/" + std::string(256, 'a') + "/tags/list") == "NAME_INVALID");
  CHECK(error_of("/v2/a/manifests/-x") == "TAG_INVALID");
  CHECK(error_of("/v2/a/manifests/" + std::string(129, 'x')) == "TAG_INVALID");
  CHECK(error_of("/v2/a/manifests/sha256:zz") == "DIGEST_INVALID");
  CHECK(error_of("/v2/a/manifests/sha512:" + std::string(64, 'a')) == "DIGEST_INVALID");
  CHECK(error_of("/v2/a/manifests/md5:" + std::string(32, 'a')) == "DIGEST_INVALID");
  CHECK(error_of("/v2/a/blobs/sha256:zz") == "DIGEST_INVALID");
  CHECK(error_of("/v2/a/blobs/plain") == "DIGEST_INVALID");
}

TEST_CASE("other paths are not the registry's") {
  for (const char* path : {"/v1/", "/v2x", "/v2/a", "/v2/a/manifests/", "/v2/a/blobs/", "/v2/a/tags",
                           "/v2/a/tags/list/", "/v2/a/blobs/uploads/x/y", "/health", "v2/"}) {
    INFO(path);
    CHECK_FALSE(parse_path(path).found);
  }
}

}  // namespace
}  // namespace krakend::registry
