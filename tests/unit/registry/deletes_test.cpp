#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <string>

#include "harness.h"
#include "registry/blob_guard.h"
#include "support/catch.h"

namespace krakend::registry {
namespace {

const std::string config = "{}";
const std::string layer = "layer bytes";
const std::string index_type = "application/vnd.oci.image.index.v1+json";

std::string descriptor(const std::string& digest) {
  return fmt::format(R"({{"mediaType":"m","digest":"{}","size":1}})", digest);
}

std::string image(const std::string& more = "") {
  return fmt::format(R"({{"schemaVersion":2,"mediaType":"{}","config":{},"layers":[{}]{}}})", json_type,
                     descriptor(Digest::of(config).str()), descriptor(Digest::of(layer).str()), more);
}

std::string index_of(const std::string& manifest) {
  return fmt::format(R"({{"schemaVersion":2,"mediaType":"{}","manifests":[{}]}})", index_type,
                     descriptor(Digest::of(manifest).str()));
}

RegistryOptions deleting() {
  RegistryOptions options;
  options.delete_enabled = true;
  return options;
}

/// A registry where everything may be deleted, with the blobs of image().
struct Filled : Harness {
  explicit Filled(RegistryOptions options = deleting()) : Harness(options) {
    add_blob(config);
    add_blob(layer);
  }
  void put(const std::string& repo, const std::string& reference, const std::string& manifest,
           const std::string& type = json_type) {
    const Answer pushed =
        send("PUT", "/v2/" + repo + "/manifests/" + reference, manifest, {{"Content-Type", type}});
    REQUIRE(pushed.status == 201);
  }
  Answer remove(const std::string& path) { return send("DELETE", "/v2/" + path); }
  int manifest_status(const std::string& repo, const std::string& reference) {
    return head("/v2/" + repo + "/manifests/" + reference).status;
  }
};

TEST_CASE("deleting is off unless it is turned on, and the answer says how") {
  Filled registry{RegistryOptions{}};
  registry.put("lib/a", "v1", image());
  for (const std::string& path :
       {std::string("lib/a/manifests/v1"), "lib/a/manifests/" + Digest::of(image()).str(),
        "lib/a/blobs/" + Digest::of(layer).str()}) {
    const Answer answer = registry.remove(path);
    CHECK(answer.status == 405);
    CHECK(answer.code() == "UNSUPPORTED");
    CHECK(answer.message().find("delete_enabled") != std::string::npos);
    CHECK(answer.header("Allow").find("DELETE") == std::string::npos);
  }
  CHECK(registry.manifest_status("lib/a", "v1") == 200);
}

TEST_CASE("a deleted tag is gone, its manifest is not") {
  Filled registry;
  registry.put("lib/a", "v1", image());
  CHECK(registry.remove("lib/a/manifests/v1").status == 202);
  CHECK(registry.manifest_status("lib/a", "v1") == 404);
  CHECK(registry.manifest_status("lib/a", Digest::of(image()).str()) == 200);
  const Answer again = registry.remove("lib/a/manifests/v1");
  CHECK(again.status == 404);
  CHECK(again.code() == "MANIFEST_UNKNOWN");
}

TEST_CASE("a repository without tags is still known") {
  Filled registry;
  registry.put("lib/a", "v1", image());
  registry.remove("lib/a/manifests/v1");
  const Answer listed = registry.get("/v2/lib/a/tags/list");
  CHECK(listed.status == 200);
  CHECK(nlohmann::json::parse(listed.body).at("tags").empty());
  CHECK(registry.get("/v2/lib/other/tags/list").status == 404);
}

TEST_CASE("a manifest that is deleted by digest takes its tags with it") {
  Filled registry;
  const auto digest = Digest::of(image()).str();
  registry.put("lib/a", "v1", image());
  registry.put("lib/a", "v2", image());
  registry.put("lib/a", "other", image(R"(,"annotations":{})"));
  CHECK(registry.remove("lib/a/manifests/" + digest).status == 202);
  CHECK(registry.manifest_status("lib/a", "v1") == 404);
  CHECK(registry.manifest_status("lib/a", "v2") == 404);
  CHECK(registry.manifest_status("lib/a", "other") == 200);
  CHECK(registry.manifest_status("lib/a", digest) == 404);
  CHECK_FALSE(registry.has_blob(Digest::of(image())));
  CHECK(registry.has_blob(Digest::of(layer)));
}

TEST_CASE("a manifest that another repository tags stays there") {
  Filled registry;
  const auto digest = Digest::of(image()).str();
  registry.put("lib/a", "v1", image());
  registry.put("lib/b", "v1", image());
  CHECK(registry.remove("lib/a/manifests/" + digest).status == 202);
  CHECK(registry.manifest_status("lib/a", "v1") == 404);
  CHECK(registry.manifest_status("lib/b", "v1") == 200);
}

TEST_CASE("a manifest that an index refers to stays") {
  Filled registry;
  registry.put("lib/a", Digest::of(image()).str(), image());
  registry.put("lib/b", "multi", index_of(image()), index_type);
  CHECK(registry.remove("lib/a/manifests/" + Digest::of(image()).str()).status == 202);
  CHECK(registry.manifest_status("lib/b", Digest::of(image()).str()) == 200);
}

TEST_CASE("a blob in use is not deleted, and the answer names its user") {
  Filled registry;
  registry.put("lib/a", Digest::of(image()).str(), image());
  registry.put("lib/b", "multi", index_of(image()), index_type);
  const Answer refused = registry.remove("lib/a/blobs/" + Digest::of(layer).str());
  CHECK(refused.status == 405);
  CHECK(refused.code() == "DENIED");
  CHECK(refused.message().find("lib/b:multi") != std::string::npos);
  CHECK(registry.has_blob(Digest::of(layer)));
  CHECK(registry.remove("lib/b/manifests/multi").status == 202);
  CHECK(registry.remove("lib/a/blobs/" + Digest::of(layer).str()).status == 202);
  CHECK_FALSE(registry.has_blob(Digest::of(layer)));
  CHECK(registry.remove("lib/a/blobs/" + Digest::of(layer).str()).status == 404);
}

TEST_CASE("a blob whose users cannot be told is kept") {
  Filled registry;
  registry.put("lib/a", "v1", image());
  registry.transfer->tag_error = Error{Errc::network, "the build-index does not answer", 0};
  CHECK(registry.remove("lib/a/blobs/" + Digest::of(layer).str()).status == 503);
  CHECK(registry.has_blob(Digest::of(layer)));
}

TEST_CASE("a deleted referrer leaves the list of its subject") {
  Filled registry;
  registry.put("lib/a", "v1", image());
  const auto subject = Digest::of(image()).str();
  const auto with = [&](const std::string& note) {
    return image(fmt::format(R"(,"subject":{},"annotations":{{"n":"{}"}})", descriptor(subject), note));
  };
  registry.put("lib/a", Digest::of(with("1")).str(), with("1"));
  registry.put("lib/a", Digest::of(with("2")).str(), with("2"));
  const auto listed = [&] {
    return nlohmann::json::parse(registry.get("/v2/lib/a/referrers/" + subject).body).at("manifests").size();
  };
  CHECK(listed() == 2);
  CHECK(registry.remove("lib/a/manifests/" + Digest::of(with("1")).str()).status == 202);
  CHECK(listed() == 1);
  CHECK(registry.remove("lib/a/manifests/" + Digest::of(with("2")).str()).status == 202);
  CHECK(listed() == 0);
  CHECK_FALSE(registry.transfer->tags["lib/a"].contains("sha256-" + subject.substr(7)));
}

TEST_CASE("a push that refers to a blob keeps it from being deleted, and waits for a deletion under way") {
  io::Loop loop{io::LoopOptions{.pool_threads = 0}};
  BlobGuard guard(loop);
  const Digest digest = Digest::of("x");
  {
    const BlobGuard::Pins pins(guard, {digest});
    CHECK(BlobGuard::Doom(guard, digest).refused());
    CHECK_FALSE(BlobGuard::Doom(guard, Digest::of("y")).refused());
  }
  auto doom = std::make_unique<BlobGuard::Doom>(guard, digest);
  CHECK_FALSE(doom->refused());
  CHECK(BlobGuard::Doom(guard, digest).refused());
  io::TaskGroup tasks(loop);
  tasks.spawn(guard.undoomed({Digest::of("y"), digest}), "push");
  for (int i = 0; i < 10; ++i) loop.poll();
  CHECK(tasks.size() == 1);
  doom.reset();
  for (int i = 0; i < 10; ++i) loop.poll();
  CHECK(tasks.size() == 0);
}

}  // namespace
}  // namespace krakend::registry
