#include "krakend/registry/reachable.h"

#include <string>

#include "harness.h"
#include "registry/referrers.h"
#include "support/catch.h"

namespace krakend::registry {
namespace {

const std::string index_type = "application/vnd.oci.image.index.v1+json";

std::string descriptor(const std::string& content, const std::string& type = "m") {
  return fmt::format(R"({{"mediaType":"{}","digest":"{}","size":1}})", type, Digest::of(content).str());
}

std::string image(const std::string& layer, const std::string& more = "") {
  return fmt::format(R"({{"schemaVersion":2,"mediaType":"{}","config":{},"layers":[{}]{}}})", json_type,
                     descriptor("{}"), descriptor(layer), more);
}

std::string index_of(const std::string& manifest) {
  return fmt::format(R"({{"schemaVersion":2,"mediaType":"{}","manifests":[{}]}})", index_type,
                     descriptor(manifest, json_type));
}

std::string signature_of(const std::string& manifest, const std::string& layer) {
  return image(layer, ",\"subject\":" + descriptor(manifest, json_type));
}

struct Stage : Harness {
  Stage() {
    for (const char* blob : {"{}", "l1", "l2", "l3", "s1", "s2"}) add_blob(blob);
  }
  void put(const std::string& reference, const std::string& manifest, const std::string& type = json_type) {
    const Answer pushed = send("PUT", "/v2/lib/a/manifests/" + reference, manifest, {{"Content-Type", type}});
    INFO(pushed.body);
    REQUIRE(pushed.status == 201);
  }
  Result<Reachable> try_find() {
    io::TaskGroup workers(loop);
    auto found = run(find_reachable(loop, workers, *transfer, 4 * MiB));
    run(workers.stop());
    return found;
  }
  Reachable find() {
    auto found = try_find();
    REQUIRE(found);
    return *found;
  }
};

bool has(const Reachable& found, const std::string& content) {
  return found.blobs.contains(Digest::of(content));
}

TEST_CASE("what tags lead to, and nothing else") {
  Stage registry;
  registry.put(Digest::of(image("l1")).str(), image("l1"));
  registry.put("multi", index_of(image("l1")), index_type);
  registry.put("v1", image("l2"));
  registry.put("v1", image("l3"));
  const Reachable found = registry.find();
  CHECK(found.tags == 2);
  CHECK(found.manifests == 3);
  CHECK(has(found, index_of(image("l1"))));
  CHECK(has(found, image("l1")));
  CHECK(has(found, "l1"));
  CHECK(has(found, image("l3")));
  CHECK(has(found, "l3"));
  CHECK(has(found, "{}"));
  CHECK_FALSE(has(found, image("l2")));
  CHECK_FALSE(has(found, "l2"));
  CHECK(found.missing.empty());
}

TEST_CASE("referrers count as long as their subject does, over any number of steps") {
  Stage registry;
  const std::string subject = image("l1");
  const std::string signature = signature_of(subject, "s1");
  const std::string of_signature = signature_of(signature, "s2");
  registry.put("v1", subject);
  registry.put(Digest::of(of_signature).str(), of_signature);
  registry.put(Digest::of(signature).str(), signature);
  Reachable found = registry.find();
  CHECK(has(found, signature));
  CHECK(has(found, "s1"));
  CHECK(has(found, of_signature));
  CHECK(has(found, "s2"));
  CHECK(found.orphans.empty());

  registry.put("v1", image("l2"));
  found = registry.find();
  CHECK_FALSE(has(found, signature));
  CHECK_FALSE(has(found, "s2"));
  REQUIRE(found.orphans.size() == 2);
  CHECK(found.orphans[0].repo == "lib/a");
  CHECK(found.orphans[0].tag.starts_with("sha256-"));
  CHECK(found.orphans[0].index == registry.transfer->tags["lib/a"][found.orphans[0].tag]);
}

TEST_CASE("a document of unknown form keeps everything that it names") {
  Stage registry;
  const std::string old = R"({"schemaVersion":1,"fsLayers":[{"blobSum":")" + Digest::of("l1").str() + "\"}]}";
  registry.transfer->tags["lib/a"]["old"] = registry.add_blob(old);
  const std::string bundle =
      R"({"schemaVersion":2,"mediaType":"application/vnd.example.bundle+json","blobs":[)" +
      descriptor(image("l2"), json_type) + "]}";
  registry.put(Digest::of(image("l2")).str(), image("l2"));
  registry.put("bundle", bundle, "application/vnd.example.bundle+json");
  const Reachable found = registry.find();
  CHECK(has(found, "l1"));
  CHECK(has(found, "l2"));
  CHECK(found.missing.empty());
}

TEST_CASE("a manifest that is not there is told, one that cannot be read ends it") {
  Stage registry;
  registry.transfer->tags["lib/a"]["lost"] = Digest::of("lost");
  const Reachable found = registry.find();
  REQUIRE(found.missing.size() == 1);
  CHECK(found.missing[0] == "lib/a:lost: manifest " + Digest::of("lost").str() + " is not there");
  registry.transfer->stat_error = Error{Errc::unavailable, "origins are away"};
  auto failed = registry.try_find();
  REQUIRE_FALSE(failed);
  CHECK(failed.error().message == "lib/a:lost: origins are away");
}

TEST_CASE("an index is refused when something below its children is missing") {
  Stage registry;
  registry.put(Digest::of(image("l1")).str(), image("l1"));
  REQUIRE(registry.run(registry.transfer->remove_blob("lib/a", Digest::of("l1"))));
  const Answer refused = registry.send("PUT", "/v2/lib/a/manifests/multi", index_of(image("l1")),
                                       {{"Content-Type", index_type}});
  CHECK(refused.status == 400);
  CHECK(refused.code() == "MANIFEST_BLOB_UNKNOWN");
  CHECK(refused.message().find(Digest::of("l1").str()) != std::string::npos);
}

}  // namespace
}  // namespace krakend::registry
