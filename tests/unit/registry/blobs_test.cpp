#include <string>

#include "harness.h"
#include "support/catch.h"

namespace krakend::registry {
namespace {

const std::string bytes = "0123456789abcdefghij";

TEST_CASE("the base answers, and every answer names the API version") {
  Harness registry;
  for (const char* path : {"/v2", "/v2/"}) {
    const Answer answer = registry.get(path);
    CHECK(answer.status == 200);
    CHECK(answer.body == "{}");
    CHECK(answer.header("Content-Type") == "application/json");
    CHECK(answer.header("Docker-Distribution-Api-Version") == "registry/2.0");
    const Answer head = registry.head(path);
    CHECK(head.status == 200);
    CHECK(head.content_length == 2);
  }
  const Answer root = registry.get("/");
  CHECK(root.status == 200);
  CHECK(root.header("Cache-Control") == "no-cache");
  const Answer unknown = registry.get("/v2/a");
  CHECK(unknown.status == 404);
  CHECK(unknown.body == "404 page not found\n");
  CHECK(unknown.header("X-Content-Type-Options") == "nosniff");
  CHECK(unknown.header("Docker-Distribution-Api-Version") == "registry/2.0");
}

TEST_CASE("GET of a blob") {
  Harness registry;
  const Digest digest = registry.add_blob(bytes);
  const Answer answer = registry.get("/v2/lib/a/blobs/" + digest.str() + "?ns=registry.example.com");
  CHECK(answer.status == 200);
  CHECK(answer.body == bytes);
  CHECK(answer.header("Content-Type") == "application/octet-stream");
  CHECK(answer.header("Docker-Content-Digest") == digest.str());
  CHECK(answer.header("Etag") == "\"" + digest.str() + "\"");
  CHECK(answer.header("Accept-Ranges") == "bytes");
  CHECK(answer.header("Cache-Control") == "max-age=31536000");
  CHECK(answer.header("X-Krakend-Source") == "disk");
  CHECK(registry.transfer->last_repo == "lib/a");
}

TEST_CASE("HEAD of a blob asks for its size only") {
  Harness registry;
  const Digest digest = registry.add_blob(bytes);
  const Answer answer = registry.head("/v2/lib/a/blobs/" + digest.str(), {{"Range", "bytes=0-3"}});
  CHECK(answer.status == 200);
  CHECK(answer.content_length == bytes.size());
  CHECK(answer.header("Docker-Content-Digest") == digest.str());
  CHECK(answer.header("Accept-Ranges") == "bytes");
  CHECK(answer.header("Content-Type") == "application/octet-stream");
  CHECK(registry.transfer->stats == 1);
  CHECK(registry.transfer->opens == 0);
}

TEST_CASE("one range") {
  Harness registry;
  const std::string target = "/v2/lib/a/blobs/" + registry.add_blob(bytes).str();
  const Answer middle = registry.get(target, {{"Range", "bytes=4-7"}});
  CHECK(middle.status == 206);
  CHECK(middle.body == "4567");
  CHECK(middle.header("Content-Range") == "bytes 4-7/20");
  CHECK(middle.header("X-Krakend-Source") == "disk");
  CHECK(middle.header("Accept-Ranges") == "bytes");
  const Answer open_end = registry.get(target, {{"Range", "bytes=16-"}});
  CHECK(open_end.status == 206);
  CHECK(open_end.body == "ghij");
  const Answer suffix = registry.get(target, {{"Range", "bytes=-3"}});
  CHECK(suffix.status == 206);
  CHECK(suffix.body == "hij");
  CHECK(suffix.header("Content-Range") == "bytes 17-19/20");
}

TEST_CASE("ranges that cannot be served") {
  Harness registry;
  const Digest digest = registry.add_blob(bytes);
  const std::string target = "/v2/lib/a/blobs/" + digest.str();
  const Answer beyond = registry.get(target, {{"Range", "bytes=999999-"}});
  CHECK(beyond.status == 416);
  CHECK(beyond.header("Content-Range") == "bytes */20");
  CHECK(beyond.code() == "RANGE_INVALID");
  for (const char* range : {"bytes=0-1,4-5", "bytes=x", "lines=0-1"}) {
    INFO(range);
    const Answer whole = registry.get(target, {{"Range", range}});
    CHECK(whole.status == 200);
    CHECK(whole.body == bytes);
  }
  const Answer split =
      registry.call({.target = target, .headers = {{"Range", "bytes=0-1"}, {"Range", "bytes=4-5"}}});
  CHECK(split.status == 200);
}

TEST_CASE("If-Range of another version gets the whole blob") {
  Harness registry;
  const Digest digest = registry.add_blob(bytes);
  const std::string target = "/v2/lib/a/blobs/" + digest.str();
  CHECK(registry.get(target, {{"Range", "bytes=0-1"}, {"If-Range", "\"other\""}}).status == 200);
  CHECK(registry.get(target, {{"Range", "bytes=0-1"}, {"If-Range", "\"" + digest.str() + "\""}}).status ==
        206);
}

TEST_CASE("If-None-Match needs no download") {
  Harness registry;
  const Digest digest = registry.add_blob(bytes);
  const std::string target = "/v2/lib/a/blobs/" + digest.str();
  const Answer same = registry.get(target, {{"If-None-Match", "\"" + digest.str() + "\""}});
  CHECK(same.status == 304);
  CHECK(same.body.empty());
  CHECK_FALSE(same.content_length);
  CHECK(same.header("Etag") == "\"" + digest.str() + "\"");
  CHECK(registry.transfer->opens == 0);
  CHECK(registry.head(target, {{"If-None-Match", digest.str()}}).status == 304);
  CHECK(registry.get(target, {{"If-None-Match", "\"other\""}}).status == 200);
}

TEST_CASE("an empty blob") {
  Harness registry;
  const Answer answer = registry.get("/v2/lib/a/blobs/" + registry.add_blob("").str());
  CHECK(answer.status == 200);
  CHECK(answer.body.empty());
}

TEST_CASE("a missing blob is 404 in GET and HEAD") {
  Harness registry;
  const std::string digest = Digest::of("nothing").str();
  const Answer answer = registry.get("/v2/lib/a/blobs/" + digest);
  CHECK(answer.status == 404);
  CHECK(answer.code() == "BLOB_UNKNOWN");
  CHECK(answer.header("Content-Type") == "application/json");
  CHECK(answer.body.find("\"detail\":\"" + digest + "\"") != std::string::npos);
  CHECK(answer.body.back() == '\n');
  const Answer head = registry.head("/v2/lib/a/blobs/" + digest);
  CHECK(head.status == 404);
  CHECK(head.header("Content-Type") == "application/json");
}

TEST_CASE("failures of the transfer") {
  struct Case {
    Errc code;
    int status;
    std::string name;
  };
  Harness registry;
  const std::string target = "/v2/lib/a/blobs/" + registry.add_blob(bytes).str();
  for (const Case& c : {Case{Errc::unavailable, 503, "UNAVAILABLE"},
                        {Errc::pending, 503, "UNAVAILABLE"},
                        {Errc::timeout, 503, "UNAVAILABLE"},
                        {Errc::network, 503, "UNAVAILABLE"},
                        {Errc::no_space, 500, "UNKNOWN"},
                        {Errc::io, 500, "UNKNOWN"},
                        {Errc::corrupt, 500, "UNKNOWN"}}) {
    registry.transfer->open_error = Error{c.code, "the \"disk\" is full\n", 429};
    const Answer answer = registry.get(target);
    INFO(to_string(c.code));
    CHECK(answer.status == c.status);
    CHECK(answer.code() == c.name);
    CHECK(answer.message() == "the \"disk\" is full\n");
    CHECK(answer.headers.has("Retry-After") == (c.status == 503));
  }
}

TEST_CASE("bad names and digests are 400 with the registry's code") {
  Harness registry;
  CHECK(registry.get("/v2/UPPER/blobs/" + Digest::of("x").str()).code() == "NAME_INVALID");
  const Answer answer = registry.get("/v2/lib/a/blobs/sha256:zz");
  CHECK(answer.status == 400);
  CHECK(answer.code() == "DIGEST_INVALID");
}

TEST_CASE("methods that an endpoint does not have") {
  Harness registry;
  const std::string digest = Digest::of("x").str();
  const auto check = [&](const char* method, const std::string& target, const std::string& allow) {
    INFO(method << " " << target);
    const Answer answer = registry.send(method, target);
    CHECK(answer.status == 405);
    CHECK(answer.code() == "UNSUPPORTED");
    CHECK(answer.header("Allow") == allow);
  };
  check("DELETE", "/v2/a/blobs/" + digest, "GET, HEAD");
  check("DELETE", "/v2/a/manifests/" + digest, "GET, HEAD, PUT");
  check("PUT", "/v2/", "GET, HEAD");
  check("GET", "/v2/a/blobs/uploads/", "POST");
  check("POST", "/v2/a/blobs/uploads/x", "GET, HEAD, PATCH, PUT, DELETE");
  check("POST", "/v2/a/tags/list", "GET, HEAD");
  registry.transfer->read_write = false;
  check("PUT", "/v2/a/manifests/v1", "GET, HEAD");
  check("POST", "/v2/a/blobs/uploads/", "");
  check("PATCH", "/v2/a/blobs/uploads/x", "");
  CHECK(registry.transfer->stats + registry.transfer->opens + registry.transfer->puts == 0);
}

}  // namespace
}  // namespace krakend::registry
