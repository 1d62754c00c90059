#include "roles/proxy/notification.h"

#include "support/catch.h"

namespace krakend::proxy {
namespace {

const std::string oci = "application/vnd.oci.image.manifest.v1+json";

std::string event(const std::string& more) {
  return R"({"events":[{"action":"push")" + more + R"(,"target":{"mediaType":")" + oci +
         R"(","digest":"d","repository":"r"}}]})";
}

TEST_CASE("which media types are images") {
  for (const char* type : {"application/vnd.docker.distribution.manifest.v2+json",
                           "application/vnd.docker.distribution.manifest.v1+prettyjws",
                           "application/vnd.docker.distribution.manifest.v1+json; charset=utf-8",
                           "application/vnd.oci.image.manifest.v1+json"})
    CHECK(is_image_manifest(type));
  for (const char* type : {"application/vnd.docker.distribution.manifest.list.v2+json",
                           "application/vnd.docker.distribution.manifest.v+json",
                           "application/vnd.docker.distribution.manifest.v22+json",
                           "application/vnd.oci.image.index.v1+json", "application/octet-stream", ""})
    CHECK_FALSE(is_image_manifest(type));
}

TEST_CASE("which timestamps are in RFC 3339") {
  for (const char* text : {"2026-01-02T03:04:05Z", "2026-01-02T03:04:05.123456789Z", "2026-01-02t03:04:05z",
                           "2026-12-31T23:59:59+01:00", "2026-01-02T03:04:05.1-23:59"})
    CHECK(is_rfc3339(text));
  for (const char* text :
       {"", "2026-01-02", "2026-01-02T03:04:05", "2026-13-02T03:04:05Z", "2026-01-02 03:04:05Z",
        "2026-01-32T03:04:05Z", "2026-01-02T24:04:05Z", "2026-01-02T03:04:05.Z", "2026-01-02T03:04:05+1:00",
        "2026-01-02T03:04:05+25:00", "2026-01-02T03:04:05Zx"})
    CHECK_FALSE(is_rfc3339(text));
}

TEST_CASE("pushes of images are taken from a notification, in any case of letters") {
  auto pushed = pushed_manifests(event(R"(,"timestamp":"2026-01-02T03:04:05Z")"));
  REQUIRE(pushed);
  REQUIRE(pushed->size() == 1);
  CHECK(pushed->front().repository == "r");
  CHECK(pushed->front().digest == "d");
  pushed = pushed_manifests(
      R"({"Events":[{"ACTION":"push","Target":{"MediaType":")" + oci +
      R"(","Digest":"d","Repository":"r"}},{"action":"pull","target":{"mediaType":")" + oci +
      R"("}},{"action":"push","target":{"mediaType":"application/vnd.oci.image.index.v1+json"}}]} x)");
  REQUIRE(pushed);
  CHECK(pushed->size() == 1);
  CHECK(pushed_manifests("{}")->empty());
  CHECK(pushed_manifests("null")->empty());
}

TEST_CASE("a notification that cannot be read says what is wrong") {
  CHECK(pushed_manifests("").error().message == "EOF");
  CHECK(pushed_manifests(event(R"(,"timestamp":"yesterday")")).error().message ==
        "timestamp of event 0: \"yesterday\" is not as in RFC 3339");
  CHECK(pushed_manifests(R"({"events":[{"action":"push"}]})").error().message == "event 0 has no target");
  for (const char* body : {"[]", "7", R"({"events":{}})", R"({"events":[7]})", R"({"events":[{"target":7}]})",
                           R"({"events":[{"target":{"digest":7}}]})", R"({"events":[)"})
    CHECK_FALSE(pushed_manifests(body));
}

}  // namespace
}  // namespace krakend::proxy
