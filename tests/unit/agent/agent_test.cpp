#include "roles/agent/agent.h"

#include <map>
#include <string>

#include "krakend/core/hex.h"
#include "support/catch.h"
#include "support/world.h"

namespace krakend::agent {
namespace {

const std::string bytes = "driver blob 0123456789\n";

Task<http::Response> answer(int status, std::string text) {
  co_return http::text_response(status, std::move(text));
}

/// A build-index with one repository, and a tracker that knows no blob.
struct Upstreams {
  explicit Upstreams(test::World& world) {
    http::Router index;
    index.add("GET", "/readiness",
              [this](http::Request&) { return answer(index_ready ? 200 : 503, "OK\n"); });
    index.add("GET", "/tags/{tag}", [this](http::Request& request) { return tag(request.params.at("tag")); });
    index.add("GET", "/list/*", [this](http::Request& request) {
      listed = request.target;
      return answer(200,
                    "{\"Links\":{\"next\":\"\",\"self\":\"\"},\"size\":2,\"result\":[\"drv/repo:v2\",\"drv/"
                    "repo:v1\"]}\n");
    });
    build_index = world.serve(std::move(index));
    http::Router tracking;
    tracking.add("GET", "/readiness", [](http::Request&) { return answer(200, "OK\n"); });
    tracking.add("GET", "/namespace/{namespace}/blobs/{digest}/metainfo", [this](http::Request& request) {
      asked_namespace = request.params.at("namespace");
      return answer(metainfo_status, "");
    });
    tracker = world.serve(std::move(tracking));
  }
  Task<http::Response> tag(std::string name) {
    const auto found = tags.find(name);
    if (name == "drv/repo:broken") co_return http::text_response(500, "backend is down");
    co_return found == tags.end() ? http::text_response(404) : http::text_response(200, found->second.str());
  }

  io::Address build_index;
  io::Address tracker;
  std::map<std::string, Digest> tags;
  bool index_ready = true;
  int metainfo_status = 404;
  std::string listed;
  std::string asked_namespace;
};

Task<Result<Digest>> store_blob(storage::BlobStore& store, std::string text) {
  auto upload = co_await store.create_upload();
  if (!upload) co_return propagate(upload);
  auto sink = (*upload)->writer(0);
  if (auto written = sink->write(as_bytes(text)); !written) co_return propagate(written);
  sink.reset();
  auto blob = co_await (*upload)->commit(Digest::of(text), 4 * MiB);
  if (!blob) co_return propagate(blob);
  co_return Digest::of(text);
}

AgentOptions options_for(const Upstreams& upstreams) {
  AgentOptions options;
  options.registry_listen = {"127.0.0.1", 0};
  options.server_listen = {"127.0.0.1", 0};
  options.trackers = {upstreams.tracker.str()};
  options.build_indexes = {upstreams.build_index.str()};
  options.p2p.ip = "127.0.0.1";
  options.p2p.listen_host = "127.0.0.1";
  return options;
}

/// A whole agent on loopback.
struct Running {
  Running() {
    REQUIRE(store.open_directories());
    const auto started = agent.start();
    REQUIRE(started);
    bound = *started;
  }
  ~Running() { world.run(agent.stop()); }
  Digest add_blob(const std::string& text) {
    auto digest = world.run(store_blob(store, text));
    REQUIRE(digest);
    return *digest;
  }

  test::World world;
  Upstreams upstreams{world};
  storage::BlobStore store{
      world.loop,
      *world.disk,
      *world.random,
      {world.directory / "cache", world.directory / "download", world.directory / "upload"},
      Logger()};
  Agent agent{{world.loop, *world.clock, *world.random, *world.net, *world.disk, *world.server, *world.client,
               Logger()},
              store,
              options_for(upstreams)};
  Agent::Bound bound;
};

TEST_CASE("the registry serves a blob of the local store and its tag") {
  Running agent;
  const Digest digest = agent.add_blob(bytes);
  const auto blob = agent.world.get(agent.bound.registry, "/v2/drv/repo/blobs/" + digest.str());
  CHECK(blob.status == 200);
  CHECK(blob.body == bytes);
  CHECK(blob.headers.get("X-Krakend-Source") == "disk");
  CHECK(blob.headers.get("Content-Length") == std::to_string(bytes.size()));
  const auto head = agent.world.call("HEAD", agent.bound.registry, "/v2/drv/repo/blobs/" + digest.str());
  CHECK(head.status == 200);
  CHECK(head.headers.get("Content-Length") == std::to_string(bytes.size()));

  const std::string manifest = "{\"schemaVersion\":2}";
  agent.upstreams.tags.emplace("drv/repo:v1", agent.add_blob(manifest));
  const auto pulled = agent.world.get(agent.bound.registry, "/v2/drv/repo/manifests/v1");
  CHECK(pulled.status == 200);
  CHECK(pulled.body == manifest);
  CHECK(pulled.headers.get("Docker-Content-Digest") == Digest::of(manifest).str());
}

TEST_CASE("what nobody has is 404 on the registry") {
  Running agent;
  const std::string digest = Digest::of("nothing").str();
  const auto blob = agent.world.get(agent.bound.registry, "/v2/drv/repo/blobs/" + digest);
  CHECK(blob.status == 404);
  CHECK(blob.body.find("BLOB_UNKNOWN") != std::string::npos);
  CHECK(agent.upstreams.asked_namespace == "drv/repo");
  CHECK(agent.world.get(agent.bound.registry, "/v2/drv/repo/manifests/" + digest).status == 404);
  CHECK(agent.world.get(agent.bound.registry, "/v2/drv/repo/manifests/none").status == 404);
}

TEST_CASE("the registry of an agent is read-only and lists tags") {
  Running agent;
  const auto refused = agent.world.call("POST", agent.bound.registry, "/v2/drv/repo/blobs/uploads/");
  CHECK(refused.status == 405);
  CHECK(refused.body.find("push to the proxy") != std::string::npos);
  const auto tags = agent.world.get(agent.bound.registry, "/v2/drv/repo/tags/list");
  CHECK(tags.body == "{\"name\":\"drv/repo\",\"tags\":[\"v1\",\"v2\"]}\n");
  CHECK(agent.upstreams.listed == "/list//drv/repo/_manifests/tags");
  CHECK(agent.world.get(agent.bound.registry, "/v2/other/tags/list").status == 404);
  CHECK(agent.world.get(agent.bound.registry, "/v2/_catalog").body == "{\"repositories\":[\"drv/repo\"]}\n");
}

TEST_CASE("health and readiness on both ports") {
  Running agent;
  for (const io::Address& port : {agent.bound.registry, agent.bound.server}) {
    const auto health = agent.world.get(port, "/health");
    CHECK(health.status == 200);
    CHECK(health.body == "OK");
    CHECK(agent.world.get(port, "/readiness").body == "OK");
  }
  agent.upstreams.index_ready = false;
  const auto down = agent.world.get(agent.bound.server, "/readiness");
  CHECK(down.status == 503);
  CHECK(down.body.find("build-index is not ready") == 0);
  CHECK(agent.world.call("PUT", agent.bound.server, "/health").status == 404);
}

TEST_CASE("tags of the agent API") {
  Running agent;
  agent.upstreams.tags.emplace("drv/repo:v1", Digest::of("x"));
  const auto tag = agent.world.get(agent.bound.server, "/tags/drv%2Frepo:v1");
  CHECK(tag.status == 200);
  CHECK(tag.body == Digest::of("x").str());
  CHECK(agent.world.get(agent.bound.server, "/tags/drv%252Frepo%253Av1").body == Digest::of("x").str());
  const auto missing = agent.world.get(agent.bound.server, "/tags/nope%2Fx:y");
  CHECK(missing.status == 404);
  CHECK(missing.body.empty());
  CHECK(agent.world.get(agent.bound.server, "/tags/drv%2Frepo:broken").status == 500);
}

TEST_CASE("blobs of the agent API") {
  Running agent;
  const Digest digest = agent.add_blob(bytes);
  for (const std::string& text : {digest.str(), digest.hex()}) {
    const auto blob = agent.world.get(agent.bound.server, "/namespace/drv%2Frepo/blobs/" + text);
    CHECK(blob.status == 200);
    CHECK(blob.body == bytes);
    CHECK(blob.headers.get("X-Krakend-Source") == "disk");
  }
  const auto part =
      agent.world.get(agent.bound.server, "/namespace/x/blobs/" + digest.hex(), {{"Range", "bytes=0-5"}});
  CHECK(part.status == 206);
  CHECK(part.body == "driver");
  const auto bad = agent.world.get(agent.bound.server, "/namespace/x/blobs/zz");
  CHECK(bad.status == 400);
  CHECK(bad.body.starts_with("parse digest: "));
  const auto missing =
      agent.world.get(agent.bound.server, "/namespace/a%2Fb/blobs/" + Digest::of("nothing").str());
  CHECK(missing.status == 404);
  CHECK(missing.body.empty());
  CHECK(agent.upstreams.asked_namespace == "a/b");
  agent.upstreams.metainfo_status = 500;
  CHECK(agent.world.get(agent.bound.server, "/namespace/x/blobs/" + Digest::of("broken").str()).status ==
        500);
}

TEST_CASE("deletion through the agent API") {
  Running agent;
  const Digest digest = agent.add_blob(bytes);
  for (int round = 0; round < 2; ++round) {  // the second time there is nothing left
    const auto deleted = agent.world.call("DELETE", agent.bound.server, "/blobs/" + digest.str());
    CHECK(deleted.status == 200);
    CHECK(deleted.body.empty());
  }
  CHECK(agent.world.get(agent.bound.server, "/namespace/x/blobs/" + digest.str()).status == 404);
  CHECK(agent.world.call("DELETE", agent.bound.server, "/blobs/zz").status == 400);
}

TEST_CASE("torrents as JSON, and unknown paths") {
  Running agent;
  const auto torrents = agent.world.get(agent.bound.server, "/x/torrents");
  CHECK(torrents.status == 200);
  CHECK(torrents.headers.get("Content-Type") == "application/json");
  const auto unknown = agent.world.get(agent.bound.server, "/nosuch");
  CHECK(unknown.status == 404);
  CHECK(unknown.body == "404 page not found\n");
}

}  // namespace
}  // namespace krakend::agent
