#include "roles/agent/backup_registry.h"

#include "krakend/core/hex.h"
#include "krakend/core/units.h"
#include "support/catch.h"
#include "support/world.h"

namespace krakend::agent {
namespace {

const std::string blob(3 * MiB + 17, 'b');

/// A registry that has one blob and one manifest, and notes what it was asked.
struct Backup {
  explicit Backup(test::World& world) : file(*world.disk->make_memory_file()) {
    REQUIRE(file->write_at(0, as_bytes(blob)));
    http::Router router;
    router.fallback([this](http::Request& request) { return serve(request); });
    address = world.serve(std::move(router));
  }
  Task<http::Response> serve(http::Request& request) {
    asked.push_back(request.method + " " + request.target + " " + std::string(request.headers.get("Range")) +
                    std::string(request.headers.get("Authorization")));
    http::Response response = http::text_response(404, "nothing");
    if (request.path == "/v2/a/manifests/v1") {
      response = http::json_response(200, R"({"schemaVersion":2})");
      response.headers.set("Docker-Content-Digest", "sha256:x");
    }
    if (request.path.starts_with("/v2/a/blobs/")) {
      response = http::Response();
      const bool part = request.headers.has("Range");
      response.status = part ? 206 : 200;
      if (part) response.headers.add("Content-Range", fmt::format("bytes 0-99/{}", blob.size()));
      const uint64_t size =
          request.path.ends_with("short") && request.method == "HEAD" ? blob.size() + 1 : blob.size();
      response.content_length = part ? 100 : size;
      if (request.method == "GET")
        response.body = http::ContentRange{std::make_shared<io::FileContent>(file, blob.size()), 0,
                                           part ? 100 : blob.size()};
    }
    co_return response;
  }

  io::FilePtr file;
  io::Address address;
  std::vector<std::string> asked;
};

/// A listener whose own registry answers with `status` only.
struct Running {
  ~Running() {
    world.run(world.server->stop(0s));
    world.run(tasks.stop());
  }
  io::Address listen(io::Address to) {
    backup = std::make_unique<BackupRegistry>(
        BackupRegistry::Services{world.loop, *world.disk, *world.random, tasks, *world.client}, std::move(to),
        world.directory.path(), Logger());
    http::Router router;
    router.fallback([this](http::Request& request) {
      return backup->answer(request, [this](http::Request&) { return local(); });
    });
    http::ListenOptions options;
    options.address = {"127.0.0.1", 0};
    auto bound = world.server->listen(std::move(options), std::move(router));
    REQUIRE(bound);
    return *bound;
  }
  Task<http::Response> local() { co_return http::text_response(status, "local"); }

  test::World world;
  io::TaskGroup tasks{world.loop};
  std::unique_ptr<BackupRegistry> backup;
  int status = 404;
};

}  // namespace

TEST_CASE("backup registry: asked for what failed here, and for nothing else") {
  Running agent;
  Backup other(agent.world);
  const auto at = agent.listen(other.address);
  for (const int status : {404, 500, 502, 503, 504}) {
    agent.status = status;
    const auto got = agent.world.get(at, "/v2/a/manifests/v1");
    CHECK(got.status == 200);
    CHECK(got.body == R"({"schemaVersion":2})");
    CHECK(got.headers.get("Docker-Content-Digest") == "sha256:x");
  }
  CHECK(other.asked.size() == 5);
  for (const int status : {200, 401, 403, 416}) {
    agent.status = status;
    CHECK(agent.world.get(at, "/v2/a/manifests/v1").status == status);
  }
  agent.status = 404;
  CHECK(agent.world.call("POST", at, "/v2/a/blobs/uploads/").status == 404);
  CHECK(agent.world.call("PUT", at, "/v2/a/manifests/v1", "x").status == 404);
  CHECK(other.asked.size() == 5);
}

TEST_CASE("backup registry: its answer is the client's, whatever it is") {
  Running agent;
  Backup other(agent.world);
  const auto at = agent.listen(other.address);
  const auto got = agent.world.get(at, "/v2/b/manifests/v1?x=%2F");
  CHECK(got.status == 404);
  CHECK(got.body == "nothing");
  CHECK(other.asked.back().starts_with("GET /v2/b/manifests/v1?x=%2F"));
}

TEST_CASE("backup registry: blobs pass through, whole and in part") {
  Running agent;
  Backup other(agent.world);
  const auto at = agent.listen(other.address);
  const auto whole = agent.world.get(at, "/v2/a/blobs/sha256:b", {{"Authorization", "secret"}});
  CHECK(whole.status == 200);
  CHECK(whole.body == blob);
  CHECK(whole.headers.get("X-Krakend-Source") == "backup");
  CHECK(other.asked ==
        std::vector<std::string>{"HEAD /v2/a/blobs/sha256:b secret", "GET /v2/a/blobs/sha256:b secret"});
  const auto part = agent.world.get(at, "/v2/a/blobs/sha256:b", {{"Range", "bytes=0-99"}});
  CHECK(part.status == 206);
  CHECK(part.body == blob.substr(0, 100));
  CHECK_FALSE(part.headers.get("Content-Range").empty());
  const auto head = agent.world.call("HEAD", at, "/v2/a/blobs/sha256:b");
  CHECK(head.status == 200);
  CHECK(head.headers.get("Content-Length") == std::to_string(blob.size()));
  auto left = agent.world.disk->list(agent.world.directory.path());
  REQUIRE(left);
  CHECK(left->empty());
}

TEST_CASE("backup registry: a blob that ends early never ends as a whole one") {
  Running agent;
  Backup other(agent.world);
  const auto at = agent.listen(other.address);
  http::ClientRequest request;
  request.host = at;
  request.target = "/v2/a/blobs/short";
  CHECK_FALSE(agent.world.run(agent.world.caller->send(request)));
}

TEST_CASE("backup registry: one that does not answer is said to the client") {
  Running agent;
  const auto at = agent.listen(test::nobody(agent.world));
  for (const std::string target : {"/v2/a/manifests/v1", "/v2/a/blobs/sha256:b"}) {
    const auto got = agent.world.get(at, target);
    CHECK(got.status == 502);
    CHECK_THAT(got.body, Catch::Matchers::Contains("UNAVAILABLE") &&
                             Catch::Matchers::Contains("backup registry failed"));
  }
}

}  // namespace krakend::agent
