#include <fmt/format.h>

#include <string>

#include "harness.h"
#include "support/catch.h"

namespace krakend::registry {
namespace {

const std::string config = "{}";
const std::string layer = "layer bytes";

ContentDigest name_of(const std::string& bytes) {
  return ContentDigest::sha512_of(bytes);
}

std::string image() {
  const auto descriptor = [](const std::string& bytes) {
    return fmt::format(R"({{"mediaType":"m","digest":"{}","size":{}}})", name_of(bytes).str(), bytes.size());
  };
  return fmt::format(R"({{"schemaVersion":2,"mediaType":"{}","config":{},"layers":[{}]}})", json_type,
                     descriptor(config), descriptor(layer));
}

struct Pushed : Harness {
  explicit Pushed(RegistryOptions options = {}) : Harness(options) {
    for (const std::string& bytes : {config, layer}) {
      const Answer pushed = send("POST", "/v2/lib/a/blobs/uploads/?digest=" + name_of(bytes).str(), bytes);
      REQUIRE(pushed.status == 201);
      CHECK(pushed.header("Docker-Content-Digest") == name_of(bytes).str());
      CHECK(pushed.header("Location") == "/v2/lib/a/blobs/" + name_of(bytes).str());
    }
  }
  Answer put(const std::string& reference) {
    return send("PUT", "/v2/lib/a/manifests/" + reference, image(), {{"Content-Type", json_type}});
  }
};

TEST_CASE("sha512 of the standard's example") {
  CHECK(name_of("abc").str() ==
        "sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
        "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
}

TEST_CASE("a blob pushed as sha512 is pulled as sha512 and as sha256, and answered with the name asked for") {
  Pushed registry;
  for (const std::string& name : {name_of(layer).str(), Digest::of(layer).str()}) {
    const Answer pulled = registry.get("/v2/lib/a/blobs/" + name);
    CHECK(pulled.status == 200);
    CHECK(pulled.body == layer);
    CHECK(pulled.header("Docker-Content-Digest") == name);
    CHECK(pulled.header("Etag") == "\"" + name + "\"");
    CHECK(registry.head("/v2/lib/a/blobs/" + name).content_length == layer.size());
  }
}

TEST_CASE("a manifest pushed as sha512 with sha512 layers") {
  Pushed registry;
  const auto name = name_of(image()).str();
  const Answer pushed = registry.put(name);
  CHECK(pushed.status == 201);
  CHECK(pushed.header("Docker-Content-Digest") == name);
  CHECK(pushed.header("Location") == "/v2/lib/a/manifests/" + name);
  const Answer pulled = registry.get("/v2/lib/a/manifests/" + name);
  CHECK(pulled.status == 200);
  CHECK(pulled.body == image());
  CHECK(pulled.header("Docker-Content-Digest") == name);
  CHECK(registry.put("v1").status == 201);
}

TEST_CASE("a wrong sha512 is refused and nothing is kept") {
  Pushed registry;
  const auto wrong = name_of("other").str();
  const Answer blob = registry.send("POST", "/v2/lib/a/blobs/uploads/?digest=" + wrong, layer);
  CHECK(blob.status == 400);
  CHECK(blob.code() == "DIGEST_INVALID");
  CHECK(registry.uploads_on_disk() == 0);
  const Answer manifest = registry.put(wrong);
  CHECK(manifest.status == 400);
  CHECK(manifest.code() == "DIGEST_INVALID");
  CHECK(registry.get("/v2/lib/a/blobs/" + wrong).status == 404);
}

TEST_CASE("content that nobody pushed as sha512 is unknown by that name") {
  Harness registry;
  registry.add_blob(config);
  const Answer blob = registry.get("/v2/lib/a/blobs/" + name_of(config).str());
  CHECK(blob.status == 404);
  CHECK(blob.code() == "BLOB_UNKNOWN");
  CHECK(registry.get("/v2/lib/a/manifests/" + name_of(config).str()).code() == "MANIFEST_UNKNOWN");
  const Answer put = registry.send("PUT", "/v2/lib/a/manifests/v1", image(), {{"Content-Type", json_type}});
  CHECK(put.status == 400);
  CHECK(put.code() == "MANIFEST_BLOB_UNKNOWN");
  CHECK(put.message().find(name_of(config).str()) != std::string::npos);
}

TEST_CASE("deleted by its sha512, content is gone by every name; in use it stays") {
  RegistryOptions options;
  options.delete_enabled = true;
  Pushed registry(options);
  REQUIRE(registry.put("v1").status == 201);
  CHECK(registry.send("DELETE", "/v2/lib/a/blobs/" + name_of(layer).str()).status == 405);
  REQUIRE(registry.send("DELETE", "/v2/lib/a/manifests/v1").status == 202);
  CHECK(registry.send("DELETE", "/v2/lib/a/blobs/" + name_of(layer).str()).status == 202);
  CHECK(registry.head("/v2/lib/a/blobs/" + name_of(layer).str()).status == 404);
  CHECK(registry.head("/v2/lib/a/blobs/" + Digest::of(layer).str()).status == 404);
}

}  // namespace
}  // namespace krakend::registry
