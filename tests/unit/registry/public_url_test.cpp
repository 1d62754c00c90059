#include "registry/public_url.h"

#include "harness.h"
#include "support/catch.h"

namespace krakend::registry {
namespace {

std::string base(http::Headers headers, std::string peer = "10.0.0.7", bool secured = false) {
  http::Request request;
  request.headers = std::move(headers);
  request.peer = io::Address{std::move(peer), 4711};
  request.secured = secured;
  return PublicUrl({*io::AddressRange::parse("10.0.0.0/8")}).base(request);
}

TEST_CASE("the URL that the client of a reverse proxy sees") {
  CHECK(base({}).empty());
  CHECK(base({{"Host", "inner:5000"}}).empty());
  CHECK(base({{"X-Forwarded-Proto", "https"}, {"X-Forwarded-Host", "r.example"}}) == "https://r.example");
  CHECK(base({{"X-Forwarded-Proto", "https"}, {"Host", "r.example:8443"}}) == "https://r.example:8443");
  CHECK(base({{"X-Forwarded-Host", "r.example"}}) == "http://r.example");
  CHECK(base({{"X-Forwarded-Host", "r.example"}}, "10.0.0.7", true) == "https://r.example");
  CHECK(base({{"X-Forwarded-Prefix", "/hub/"}}) == "/hub");
  CHECK(base({{"X-Forwarded-Proto", "HTTPS, http"},
              {"X-Forwarded-Host", "r.example, inner"},
              {"X-Forwarded-Prefix", "/hub"}}) == "https://r.example/hub");
  CHECK(
      base({{"Forwarded", "for=192.0.2.60;Proto=https;host=\"r.example:8443\", for=10.0.0.1;proto=http"}}) ==
      "https://r.example:8443");
  CHECK(base({{"X-Forwarded-Proto", "https"}, {"X-Forwarded-Host", "[2001:db8::1]:443"}}) ==
        "https://[2001:db8::1]:443");
}

TEST_CASE("only trusted proxies are believed") {
  const http::Headers headers{{"X-Forwarded-Proto", "https"}, {"X-Forwarded-Host", "evil.example"}};
  CHECK(base(headers, "192.0.2.1").empty());
  CHECK(base(headers, "::ffff:10.1.1.1") == "https://evil.example");
}

TEST_CASE("values that would mean something else in a URL are ignored") {
  CHECK(base({{"X-Forwarded-Proto", "javascript"}, {"X-Forwarded-Host", "r.example"}}) == "http://r.example");
  CHECK(base({{"X-Forwarded-Proto", "https"}, {"X-Forwarded-Host", "a/b"}}).empty());
  CHECK(base({{"X-Forwarded-Host", "user@r.example"}}).empty());
  for (const char* prefix : {"hub", "//evil.example", "/a?b", "/a#b", "/a\\b"}) {
    INFO(prefix);
    CHECK(base({{"X-Forwarded-Prefix", prefix}}).empty());
  }
}

TEST_CASE("Location and Link through a reverse proxy") {
  Harness registry({.trusted_proxies = {*io::AddressRange::parse("192.0.2.0/24")}});
  const http::Headers headers{{"X-Forwarded-Proto", "https"}, {"X-Forwarded-Host", "r.example"}};
  Call upload{.method = "POST", .target = "/v2/lib/a/blobs/uploads/", .headers = headers};
  CHECK(registry.call(upload).header("Location").starts_with("/v2/lib/a/blobs/uploads/"));
  upload.peer = {"192.0.2.1", 1};
  CHECK(registry.call(upload).header("Location").starts_with("https://r.example/v2/lib/a/blobs/uploads/"));
  registry.transfer->tags["lib/a"] = {{"v1", Digest::of("1")}, {"v2", Digest::of("2")}};
  Call list{.target = "/v2/lib/a/tags/list?n=1", .headers = headers, .peer = {"192.0.2.1", 1}};
  CHECK(registry.call(list).header("Link") ==
        "<https://r.example/v2/lib/a/tags/list?n=1&last=v1>; rel=\"next\"");
}

}  // namespace
}  // namespace krakend::registry
