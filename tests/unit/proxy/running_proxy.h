#pragma once

#include <fmt/format.h>

#include <memory>
#include <string>
#include <utility>

#include "fake_cluster.h"
#include "roles/proxy/proxy.h"
#include "support/catch.h"

namespace krakend::proxy {

inline const std::string layer = "layer bytes 0123456789";
inline const std::string config = "{\"architecture\":\"amd64\"}";
inline const std::string manifest_type = "application/vnd.docker.distribution.manifest.v2+json";

inline std::string manifest() {
  return fmt::format(
      R"({{"schemaVersion":2,"mediaType":"{}","config":{{"digest":"{}","size":1}},"layers":[{{"digest":"{}","size":1}}]}})",
      manifest_type, Digest::of(config).str(), Digest::of(layer).str());
}

/// A whole proxy on loopback, in front of a fake origin and a fake build-index.
struct Running {
  explicit Running(std::string origin_override = {}, ProxyOptions options = {}) {
    REQUIRE(store.open_directories());
    options.listen = {{"127.0.0.1", 0}, {"127.0.0.1", 0}};
    options.server_listen = inside = test::nobody(world);
    options.origins = {origin_override.empty() ? origin.address().str() : origin_override};
    options.build_indexes = {index.address().str()};
    api::Services services{world.loop,  *world.clock,  *world.random, *world.net,
                           *world.disk, *world.server, *world.client, Logger()};
    services.metrics = metrics;
    proxy = std::make_unique<Proxy>(std::move(services), store, std::move(options));
    const auto started = proxy->start();
    REQUIRE(started);
    REQUIRE(started->size() == 2);
    bound = started->front();
    second = started->back();
  }
  ~Running() { world.run(proxy->stop()); }

  http::ClientResponse get(const std::string& target) { return world.get(bound, target); }
  http::ClientResponse blob(const std::string& bytes, const char* method = "GET") {
    return world.call(method, bound, "/v2/lib/a/blobs/" + Digest::of(bytes).str());
  }
  http::ClientResponse push(const std::string& bytes) {
    const auto session = world.call("POST", bound, "/v2/lib/a/blobs/uploads/");
    REQUIRE(session.status == 202);
    const std::string location(session.headers.get("Location"));
    const auto patched = world.call("PATCH", bound, location, bytes);
    REQUIRE(patched.status == 202);
    return world.call("PUT", bound, location + "&digest=" + Digest::of(bytes).str());
  }
  http::ClientResponse put_manifest(const std::string& reference) {
    return world.call("PUT", bound, "/v2/lib/a/manifests/" + reference, manifest(),
                      {{"Content-Type", manifest_type}});
  }
  bool has_local(const std::string& bytes) { return world.run(store.size(Digest::of(bytes))).has_value(); }

  test::World world;
  Metrics metrics;
  FakeOrigin origin{world};
  FakeBuildIndex index{world};
  storage::BlobStore store{
      world.loop,
      *world.disk,
      *world.random,
      {world.directory / "cache", world.directory / "download", world.directory / "upload"},
      Logger()};
  std::unique_ptr<Proxy> proxy;
  io::Address bound;
  io::Address second;
  io::Address inside;  ///< the listener for registries
};

}  // namespace krakend::proxy
