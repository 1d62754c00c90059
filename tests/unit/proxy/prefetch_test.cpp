#include <algorithm>

#include "running_proxy.h"
#include "support/catch.h"
#include "support/statsd_told.h"

namespace krakend::proxy {
namespace {

using Strings = std::vector<std::string>;

const std::string v1 = "/proxy/v1/registry/prefetch";
const std::string v2 = "/proxy/v2/registry/prefetch";
const std::string good =
    R"({"tag":"a:v1","prefetched":true,"status":"success","message":"prefetching initiated successfully","trace_id":"t-1"})";

std::string body_of(const std::string& tag) {
  return fmt::format(R"({{"tag":"{}","trace_id":"t-1"}})", tag);
}

std::string failure(const char* error, const std::string& message, const char* more = "") {
  return fmt::format(R"({{"error":"{}","prefetched":false,"status":"failure","message":"{}"{}}})", error,
                     message, more);
}

/// The digests of these, each after the namespace, in order.
Strings named(const std::string& ns, const Strings& blobs) {
  Strings out;
  for (const std::string& bytes : blobs) out.push_back(ns + " " + Digest::of(bytes).str());
  std::sort(out.begin(), out.end());
  return out;
}

Strings sorted(Strings list) {
  std::sort(list.begin(), list.end());
  return list;
}

/// What the image of `layer` and `config` is called, where it is.
void add_image(Running& proxy, const std::string& tag = "lib/a:v1") {
  for (const std::string& bytes : {layer, config, manifest()}) proxy.origin.add(bytes);
  proxy.index.tags[tag] = Digest::of(manifest()).str();
}

/// An index of the image's manifest and of what `more` names.
std::string index_of(const std::string& more = "") {
  return fmt::format(
      R"({{"schemaVersion":2,"mediaType":"application/vnd.oci.image.index.v1+json","manifests":[{{"digest":"{}","size":{}}}{}]}})",
      Digest::of(manifest()).str(), manifest().size(), more);
}

template <class Done>
void run_until(Running& proxy, Done done) {
  const auto wait = [&]() -> Task<> {
    while (!done()) co_await proxy.world.clock->sleep(1ms);
  };
  proxy.world.run(wait());
}

TEST_CASE("version 1 answers at once, downloads every blob and keeps none") {
  Running proxy;
  add_image(proxy);
  test::statsd_told(proxy.metrics);
  proxy.origin.downloaded.clear();
  const auto answer = proxy.world.call("POST", proxy.bound, v1, body_of("host:1/lib/a:v1"));
  CHECK(answer.status == 200);
  CHECK(answer.body == good);
  CHECK(answer.headers.get("Content-Type") == "application/json");
  run_until(proxy, [&] { return proxy.origin.downloaded.size() == 4; });
  Strings wanted = named("lib", {layer, config, manifest(), manifest()});  // the manifest was read first
  CHECK(sorted(proxy.origin.downloaded) == wanted);
  std::map<std::string, uint64_t> told;
  run_until(proxy, [&] {
    for (const auto& [name, value] : test::statsd_told(proxy.metrics)) told[name] += value;
    return told["prefetch.blobs_downloaded|c"] == 3;
  });
  CHECK(told["prefetch.bytes_downloaded|c"] == layer.size() + config.size() + manifest().size());
  CHECK(told["prefetch.requests|c"] == 1);
  CHECK(told["prefetch.initiated|c"] == 1);
  CHECK(told.count("prefetch.failed|c") == 0);
  for (const std::string& bytes : {layer, config, manifest()}) CHECK_FALSE(proxy.has_local(bytes));
}

TEST_CASE("version 2 has the origins fetch every blob, and fails as a whole") {
  Running proxy;
  add_image(proxy);
  proxy.origin.blobs.erase(Digest::of(layer).str());
  CHECK(proxy.world.call("POST", proxy.bound, v2, body_of("h/lib/a:v1")).body == good);
  CHECK(sorted(proxy.origin.prefetched) == named("lib", {layer, config, manifest()}));
  for (const int status : {404, 500, 503}) {
    proxy.origin.prefetch_status = status;
    const auto answer = proxy.world.call("POST", proxy.bound, v2, body_of("h/lib/a:v1"));
    CHECK(answer.status == 500);
    CHECK_THAT(answer.body,
               Catch::Matchers::StartsWith(
                   R"({"error":"Internal Server Error","prefetched":false,"status":"failure",)"
                   R"("message":"failed to trigger image prefetch: at least one layer could not )"
                   R"(be prefetched: POST )"));
    CHECK_THAT(answer.body, Catch::Matchers::EndsWith(R"(,"trace_id":"t-1"})"));
  }
}

TEST_CASE("what cannot be prefetched is answered as the reference answers") {
  Running proxy;
  for (const std::string& target : {v1, v2}) {
    const io::Address& at = target == v1 ? proxy.bound : proxy.second;  // each has its own rate
    const auto call = [&](const std::string& body) { return proxy.world.call("POST", at, target, body); };
    auto answer = call("x");
    CHECK(answer.status == 400);
    CHECK(answer.body ==
          failure("Bad Request",
                  "failed to decode request body: invalid character 'x' looking for beginning of value"));
    answer = call(R"({"tag":"lib/cap1:v1"})");
    CHECK(answer.status == 400);
    CHECK(answer.body ==
          failure("Bad Request", "tag: lib/cap1:v1, invalid tag format: invalid tag format: lib/cap1:v1"));
    answer = call(body_of("h/lib/none:v1"));
    CHECK(answer.status == 500);
    CHECK(answer.body == failure("Internal Server Error",
                                 "tag request: lib%2Fnone%3Av1, failed to get tag: tag not found",
                                 R"(,"trace_id":"t-1")"));
    for (const char* body : {"", "[]", "{}", "null", R"({"tag":7})", R"({"tag":"h/l/a:1")"}) {
      INFO(body);
      CHECK(call(body).status == 400);
    }
    // Names in any case, and what follows the first value is not read.
    add_image(proxy);
    CHECK(call(R"({"TAG":"h/lib/a:v1","Trace_ID":"t-1","x":[1]} {)").body == good);
    CHECK(proxy.world.get(at, target).status == 404);
  }
}

TEST_CASE("a tag that names no image is 400, and says how to write it") {
  Running proxy;
  for (const char* tag :
       {"h/lib/a", "h/lib/a:", "h/lib/:v1", "h//a:v1", "h/lib//a:v1", "h/lib/x//a:v1", "h/lib/a@sha256:00"}) {
    INFO(tag);
    const auto answer = proxy.world.call("POST", proxy.bound, v2, body_of(tag));
    CHECK(answer.status == 400);
    CHECK_THAT(answer.body, Catch::Matchers::Contains("write <host>/<namespace>/<name>:<tag>"));
  }
}

TEST_CASE("a repository of more parts is prefetched as it is pulled") {
  Running proxy;
  add_image(proxy, "lib/deep/er/a:v1");
  CHECK(proxy.world.call("POST", proxy.bound, v2, body_of("h/lib/deep/er/a:v1")).body == good);
  CHECK(sorted(proxy.origin.prefetched) == named("lib/deep/er", {layer, config, manifest()}));
}

TEST_CASE("blobs outside the sizes are left out, and the sizes can change") {
  ProxyOptions options;
  options.prefetch.blob_size_min = 2;  // the descriptors say 1
  Running proxy({}, options);
  add_image(proxy);
  test::statsd_told(proxy.metrics);
  CHECK(proxy.world.call("POST", proxy.bound, v2, body_of("h/lib/a:v1")).body == good);
  CHECK(proxy.origin.prefetched == named("lib", {manifest()}));
  CHECK(test::statsd_told(proxy.metrics)["prefetch.blobs_skipped_too_small|c"] == 2);
  options.prefetch = {0, 1};
  options.origins = {proxy.origin.address().str()};
  options.build_indexes = {proxy.index.address().str()};
  proxy.proxy->configure(options);
  proxy.origin.prefetched.clear();
  CHECK(proxy.world.call("POST", proxy.bound, v2, body_of("h/lib/a:v1")).body == good);
  CHECK(sorted(proxy.origin.prefetched) == named("lib", {layer, config}));
  CHECK(test::statsd_told(proxy.metrics)["prefetch.blobs_skipped_too_large|c"] == 1);
}

TEST_CASE("of an index everything is prefetched, one level deep") {
  Running proxy;
  add_image(proxy);
  const std::string inner = index_of();
  const std::string outer =
      index_of(fmt::format(R"(,{{"digest":"{}","size":{}}})", Digest::of(inner).str(), inner.size()));
  proxy.origin.add(outer);
  proxy.index.tags["lib/a:v1"] = Digest::of(outer).str();
  auto answer = proxy.world.call("POST", proxy.bound, v2, body_of("h/lib/a:v1"));
  CHECK(answer.status == 500);  // the inner one is not there
  CHECK_THAT(answer.body, Catch::Matchers::Contains(Digest::of(inner).str()));
  CHECK(proxy.origin.prefetched.empty());
  proxy.origin.add(inner);
  CHECK(proxy.world.call("POST", proxy.bound, v2, body_of("h/lib/a:v1")).body == good);
  CHECK(sorted(proxy.origin.prefetched) == named("lib", {outer, inner, manifest(), layer, config}));
}

/// An image of so many layers, which all are at the origin.
void add_layers(Running& proxy, unsigned layers) {
  std::string list;
  for (unsigned i = 0; i < layers; ++i) {
    const std::string bytes = fmt::format("layer {}", i);
    proxy.origin.add(bytes);
    list += fmt::format(R"({}{{"digest":"{}","size":7}})", i == 0 ? "" : ",", Digest::of(bytes).str());
  }
  const std::string text =
      fmt::format(R"({{"schemaVersion":2,"config":{{"digest":"{}","size":1}},"layers":[{}]}})",
                  Digest::of(config).str(), list);
  proxy.origin.add(config);
  proxy.origin.add(text);
  proxy.index.tags["lib/a:v1"] = Digest::of(text).str();
}

TEST_CASE("few blobs move at once, however many images are asked for") {
  Running proxy;
  add_layers(proxy, 20);
  REQUIRE(proxy.world.call("POST", proxy.bound, v1, body_of("h/lib/a:v1")).status == 200);
  proxy.origin.held = true;
  run_until(proxy, [&] { return proxy.origin.running == 3; });
  proxy.origin.held = false;
  for (int i = 0; i < 2; ++i)
    REQUIRE(proxy.world.call("POST", proxy.bound, v1, body_of("h/lib/a:v1")).status == 200);
  run_until(proxy, [&] { return proxy.origin.downloaded.size() == 3 * 23; });
  CHECK(proxy.origin.most_running <= 4);  // three downloads, and a manifest that is being read
  proxy.origin.most_running = 0;
  REQUIRE(proxy.world.call("POST", proxy.bound, v2, body_of("h/lib/a:v1")).status == 200);
  CHECK(proxy.origin.prefetched.size() == 22);
  CHECK(proxy.origin.most_running <= 5);
}

TEST_CASE("one address may prefetch a hundred times a second, and twenty times at once") {
  Running proxy;
  int refused = 0;
  for (int i = 0; i < 100 && refused == 0; ++i) {
    const int status = proxy.world.call("POST", proxy.bound, v2, "x").status;
    CHECK((status == 400 || status == 429));
    if (status == 429) ++refused;
    if (i < 20) CHECK(refused == 0);
  }
  CHECK(proxy.world.call("POST", proxy.inside, v2, "x").status == 400);  // that was nginx' work
}

TEST_CASE("a proxy that stops ends what it downloads ahead") {
  Running proxy;
  add_layers(proxy, 20);
  REQUIRE(proxy.world.call("POST", proxy.bound, v1, body_of("h/lib/a:v1")).status == 200);
  proxy.origin.held = true;
  run_until(proxy, [&] { return proxy.origin.running == 3; });
  proxy.world.run(proxy.proxy->stop());
  CHECK(proxy.origin.downloaded.size() < 22);
  proxy.origin.held = false;
  run_until(proxy, [&] { return proxy.origin.running == 0; });
}

std::string event(const std::string& media_type, const std::string& digest, const char* more = "") {
  return fmt::format(
      R"({{"events":[{{"id":"e1","action":"push"{},"target":{{"mediaType":"{}","digest":"{}","repository":"lib/a","tag":"v1"}}}}]}})",
      more, media_type, digest);
}

TEST_CASE("a notification has the origins fetch what was pushed, behind the edge only") {
  Running proxy;
  const std::string target = "/registry/notifications";
  const std::string pushed = event(manifest_type, Digest::of(manifest()).str());
  add_image(proxy);
  CHECK(proxy.world.call("POST", proxy.bound, target, pushed).status == 404);
  CHECK(proxy.origin.heated.empty());
  auto answer = proxy.world.call("POST", proxy.inside, target, pushed);
  CHECK(answer.status == 200);
  CHECK(answer.body.empty());
  run_until(proxy, [&] { return proxy.origin.heated.size() == 2; });
  CHECK(sorted(proxy.origin.heated) == named("lib/a", {layer, config}));

  answer = proxy.world.call("POST", proxy.inside, target, "x");
  CHECK(answer.status == 500);
  CHECK(answer.body == "decode body: invalid character 'x' looking for beginning of value");
  CHECK(proxy.world.call("POST", proxy.inside, target, R"({"events":[{"action":"pull"}]})").status == 500);
  // What fails afterwards is only logged.
  CHECK(proxy.world.call("POST", proxy.inside, target, event(manifest_type, "sha256:0")).status == 200);
  CHECK(proxy.world.call("POST", proxy.inside, target, "{}").status == 200);
  CHECK(proxy.world.call("POST", proxy.inside, v2, body_of("h/lib/a:v1")).body == good);
}

TEST_CASE("a manifest that was just pushed elsewhere may come a little later") {
  Running proxy;
  const std::string text = manifest();
  const auto later = [&]() -> Task<> {
    co_await proxy.world.clock->sleep(150ms);
    proxy.origin.add(text);
  };
  io::TaskGroup tasks(proxy.world.loop);
  tasks.spawn(later(), "push");
  const std::string pushed = event(manifest_type, Digest::of(text).str());
  CHECK(proxy.world.call("POST", proxy.inside, "/registry/notifications", pushed).status == 200);
  run_until(proxy, [&] { return proxy.origin.heated.size() == 2; });
}

}  // namespace
}  // namespace krakend::proxy
