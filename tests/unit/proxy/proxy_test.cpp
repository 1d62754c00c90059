#include "roles/proxy/proxy.h"

#include <fmt/format.h>

#include <string>

#include "krakend/io/task_group.h"
#include "running_proxy.h"
#include "support/catch.h"
#include "support/statsd_told.h"

namespace krakend::proxy {
namespace {

TEST_CASE("an image is pushed and pulled back") {
  Running proxy;
  test::statsd_told(proxy.metrics);
  CHECK(proxy.blob(layer, "HEAD").status == 404);
  CHECK(proxy.push(layer).status == 201);
  CHECK(proxy.origin.upload_namespace == "TODO");
  CHECK(proxy.origin.blobs.at(Digest::of(layer).str()) == layer);
  CHECK(proxy.blob(layer, "HEAD").headers.get("Content-Length") == std::to_string(layer.size()));
  CHECK(proxy.push(config).status == 201);
  const auto put = proxy.put_manifest("v1");
  CHECK(put.status == 201);
  CHECK(put.headers.get("Location") == "/v2/lib/a/manifests/" + Digest::of(manifest()).str());
  CHECK(proxy.index.last_put ==
        "/tags/lib%2Fa:v1/digest/" + Digest::of(manifest()).str() + "?replicate=true");
  CHECK(proxy.origin.blobs.contains(Digest::of(manifest()).str()));

  const auto pulled = proxy.get("/v2/lib/a/manifests/v1");
  CHECK(pulled.status == 200);
  CHECK(pulled.body == manifest());
  CHECK(pulled.headers.get("Content-Type") == manifest_type);
  const auto blob = proxy.blob(layer);
  CHECK(blob.body == layer);
  CHECK(blob.headers.get("X-Krakend-Source") == "disk");
  CHECK(proxy.get("/v2/lib/a/tags/list").body == "{\"name\":\"lib/a\",\"tags\":[\"v1\"]}\n");
  CHECK(proxy.get("/v2/_catalog").body == "{\"repositories\":[\"lib/a\"]}\n");
  CHECK(proxy.world.get(proxy.second, "/v2/lib/a/manifests/v1").body == manifest());
}

TEST_CASE("a blob is fetched from the origins once") {
  Running proxy;
  proxy.origin.add(layer);
  proxy.origin.pending_downloads = 1;
  const std::string target = "/v2/lib/a/blobs/" + Digest::of(layer).str();
  http::ClientRequest request;
  request.host = proxy.bound;
  request.target = target;
  unsigned good = 0;
  io::TaskGroup tasks(proxy.world.loop);
  const auto pull = [](http::Client& client, http::ClientRequest what, unsigned& count) -> Task<> {
    auto response = co_await client.send(std::move(what));
    if (response && response->status == 200 && response->body == layer) ++count;
  };
  for (int i = 0; i < 4; ++i) tasks.spawn(pull(*proxy.world.caller, request, good), "pull");
  const auto last = proxy.blob(layer);
  CHECK(last.body == layer);
  CHECK(last.headers.get("X-Krakend-Source") == "origin");
  while (tasks.size() != 0) proxy.world.loop.poll();
  CHECK(good == 4);
  CHECK(proxy.origin.downloads == 1);
  CHECK(proxy.blob(layer).headers.get("X-Krakend-Source") == "disk");
}

TEST_CASE("statsd hears of pushes and pulls under the reference's names") {
  Running proxy;
  const auto told = [&] { return test::statsd_told(proxy.metrics); };
  const std::string large(3 * MiB, 'x');
  proxy.origin.add(large);
  for (int i = 0; i < 2; ++i) REQUIRE(proxy.blob(large).status == 200);
  CHECK(proxy.blob("nothing", "HEAD").status == 404);
  auto now = told();
  CHECK(now["download_requests|c"] == 1);
  CHECK(now["mb_served|c"] == 6);
  CHECK_FALSE(now.contains("download_failures|c"));
  proxy.origin.add(layer);
  proxy.origin.wrong_downloads = 1;
  CHECK(proxy.blob(layer).status == 500);
  now = told();
  CHECK(now["download_requests|c"] == 1);
  CHECK(now["download_failures|c"] == 1);
  CHECK(proxy.push(config).status == 201);
  now = told();
  CHECK(now["upload_requests|c"] == 1);
  CHECK(now["upload_blob|c"] == 1);
  CHECK_FALSE(now.contains("put_tag|c"));
}

TEST_CASE("what the origins do not have is 404") {
  Running proxy;
  const auto blob = proxy.blob("nothing");
  CHECK(blob.status == 404);
  CHECK(blob.body.find("BLOB_UNKNOWN") != std::string::npos);
  CHECK(proxy.origin.stat_namespace.empty());
  CHECK(proxy.get("/v2/lib/a/manifests/none").status == 404);
  CHECK(proxy.get("/v2/lib/none/tags/list").status == 404);
  CHECK(proxy.put_manifest("v1").status == 400);
}

TEST_CASE("wrong bytes of an origin are not served and not kept") {
  Running proxy;
  proxy.origin.add(layer);
  proxy.origin.wrong_bytes = "something else entirely, and longer than the layer";
  proxy.origin.wrong_downloads = 1;
  CHECK(proxy.blob(layer).status == 500);
  CHECK_FALSE(proxy.has_local(layer));
  CHECK(proxy.blob(layer).body == layer);
}

TEST_CASE("a push that fails at the origins leaves nothing behind") {
  Running proxy;
  proxy.origin.start_status = 500;
  CHECK(proxy.push(layer).status == 500);
  CHECK_FALSE(proxy.has_local(layer));
  CHECK(proxy.blob(layer, "HEAD").status == 404);
  proxy.origin.start_status = 200;
  CHECK(proxy.push(layer).status == 201);
  CHECK(proxy.origin.blobs.contains(Digest::of(layer).str()));
}

TEST_CASE("409 of the origin is success and the blob stays") {
  Running proxy;
  proxy.origin.start_status = 409;
  CHECK(proxy.push(layer).status == 201);
  CHECK(proxy.has_local(layer));
}

TEST_CASE("a blob that the origins have is not uploaded again") {
  Running proxy;
  proxy.origin.add(layer);
  CHECK(proxy.push(layer).status == 201);
  CHECK(proxy.origin.uploads == 0);
  CHECK(proxy.origin.stat_namespace == "lib/a");
  // The client's bytes are verified all the same.
  const auto wrong = proxy.world.call("POST", proxy.bound,
                                      "/v2/lib/a/blobs/uploads/?digest=" + Digest::of(layer).str(), "other");
  CHECK(wrong.status == 400);
  CHECK(wrong.body.find("DIGEST_INVALID") != std::string::npos);
}

TEST_CASE("a copy that only the proxy has does not stand in for the origins") {
  Running proxy;
  CHECK(proxy.push(layer).status == 201);
  proxy.origin.blobs.clear();
  CHECK(proxy.blob(layer, "HEAD").status == 404);
  CHECK(proxy.push(layer).status == 201);
  CHECK(proxy.origin.blobs.contains(Digest::of(layer).str()));
}

TEST_CASE("an origin whose backend is down lets pushes go on") {
  Running proxy;
  proxy.origin.stat_status = 500;
  CHECK(proxy.blob(layer, "HEAD").status == 404);
  CHECK(proxy.push(layer).status == 201);
}

TEST_CASE("without an origin the proxy says so") {
  Running proxy("127.0.0.1:1");
  const auto head = proxy.blob(layer, "HEAD");
  CHECK(head.status == 503);
  CHECK(head.headers.has("Retry-After"));
  CHECK(proxy.blob(layer).status == 503);
  CHECK(proxy.push(layer).status == 503);
  CHECK_FALSE(proxy.has_local(layer));
}

TEST_CASE("health of the proxy") {
  Running proxy;
  const auto health = proxy.get("/health");
  CHECK(health.status == 200);
  CHECK(health.body == "OK\n");
  const auto readiness = proxy.get("/readiness");
  CHECK(readiness.status == 200);
  CHECK(readiness.body == "OK\n");
  CHECK(proxy.get("/v2/").body == "{}");
  CHECK(proxy.get("/").headers.get("Cache-Control") == "no-cache");
}

}  // namespace
}  // namespace krakend::proxy
