#include "registry/referrers.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "harness.h"
#include "support/catch.h"

namespace krakend::registry {
namespace {

using Json = nlohmann::json;

const std::string subject = R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",)"
                            R"("config":{"mediaType":"a/b","size":2,"digest":")" +
                            Digest::of("{}").str() + R"("},"layers":[]})";
const ContentDigest subject_digest(Digest::of(subject));
const std::string referrers_path = "/v2/lib/a/referrers/" + subject_digest.str();

std::string referrer(const std::string& type, const std::string& note) {
  return R"({"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":")" +
         type + R"(","config":{"mediaType":"a/b","size":2,"digest":")" + Digest::of("{}").str() +
         R"("},"layers":[],"annotations":{"note":")" + note +
         R"("},"subject":{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":)" +
         std::to_string(subject.size()) + R"(,"digest":")" + subject_digest.str() + "\"}}";
}

struct Stage : Harness {
  Stage() { add_blob("{}"); }
  Answer push(const std::string& manifest) {
    return send("PUT", "/v2/lib/a/manifests/" + Digest::of(manifest).str(), manifest,
                {{"Content-Type", json_type}});
  }
  /// The notes of the referrers on a page.
  std::vector<std::string> notes(const std::string& target) {
    const Answer answer = get(target);
    REQUIRE(answer.status == 200);
    CHECK(answer.header("Content-Type") == "application/vnd.oci.image.index.v1+json");
    std::vector<std::string> out;
    const Json index = Json::parse(answer.body);
    for (const Json& item : index.at("manifests")) out.push_back(item.at("annotations").at("note"));
    return out;
  }
  /// Every page, by the links.
  std::vector<std::string> all_pages(std::string target) {
    std::vector<std::string> out;
    for (unsigned pages = 0; !target.empty(); ++pages) {
      REQUIRE(pages < 10);
      const auto page = notes(target);
      out.insert(out.end(), page.begin(), page.end());
      const std::string link = get(target).header("Link");
      target = link.empty() ? "" : link.substr(1, link.find('>') - 1);
    }
    std::sort(out.begin(), out.end());
    return out;
  }
};

using Notes = std::vector<std::string>;

TEST_CASE("referrers are listed with type and annotations, of a subject that does not exist too") {
  Stage registry;
  CHECK(registry.notes(referrers_path).empty());
  const Answer pushed = registry.push(referrer("application/spdx+json", "1"));
  CHECK(pushed.status == 201);
  CHECK(pushed.header("OCI-Subject") == subject_digest.str());
  CHECK(registry.push(referrer("text/plain", "2")).status == 201);
  CHECK(registry.push(referrer("text/plain", "2")).status == 201);
  CHECK(registry.notes(referrers_path) == Notes{"1", "2"});
  const Answer filtered = registry.get(referrers_path + "?artifactType=application%2Fspdx%2Bjson");
  CHECK(filtered.header("OCI-Filters-Applied") == "artifactType");
  const Json item = Json::parse(filtered.body).at("manifests").at(0);
  CHECK(item.at("artifactType") == "application/spdx+json");
  CHECK(item.at("digest") == Digest::of(referrer("application/spdx+json", "1")).str());
  CHECK(item.at("size") == referrer("application/spdx+json", "1").size());
  CHECK(registry.notes(referrers_path + "?artifactType=none").empty());
}

TEST_CASE("a referrer that another repository has is not found here until it is pushed here") {
  Stage registry;
  const std::string manifest = referrer("text/plain", "1");
  registry.push(manifest);
  const std::string there = "/v2/lib/a/manifests/" + Digest::of(manifest).str();
  const std::string here = "/v2/lib/b/manifests/" + Digest::of(manifest).str();
  CHECK(registry.head(there).status == 200);
  CHECK(registry.head(here).status == 404);
  CHECK(registry.get(here).code() == "MANIFEST_UNKNOWN");
  CHECK(registry.send("PUT", here, manifest, {{"Content-Type", json_type}}).status == 201);
  CHECK(registry.head(here).status == 200);
  CHECK(registry.notes("/v2/lib/b/referrers/" + subject_digest.str()) == Notes{"1"});
  registry.transfer->read_write = false;
  CHECK(registry.head("/v2/lib/c/manifests/" + Digest::of(manifest).str()).status == 200);
}

TEST_CASE("referrers in pages") {
  Stage registry;
  for (const char* note : {"1", "2", "3", "4", "5"}) registry.push(referrer("application/spdx+json", note));
  registry.push(referrer("text/plain", "6"));
  CHECK(registry.notes(referrers_path + "?n=2").size() == 2);
  CHECK(registry.all_pages(referrers_path + "?n=2") == Notes{"1", "2", "3", "4", "5", "6"});
  CHECK(registry.all_pages(referrers_path + "?artifactType=application%2Fspdx%2Bjson&n=2") ==
        Notes{"1", "2", "3", "4", "5"});
  CHECK(registry.notes(referrers_path + "?n=0").empty());
  CHECK_FALSE(registry.get(referrers_path + "?n=6").headers.has("Link"));
  CHECK(registry.get(referrers_path + "?n=x").status == 400);
}

TEST_CASE("two referrers pushed at once are both listed") {
  Stage registry;
  std::vector<std::shared_ptr<std::optional<Answer>>> answers;
  for (unsigned number = 0; number < 8; ++number) {
    const std::string manifest = referrer("text/plain", std::to_string(number));
    answers.push_back(registry.start({.method = "PUT",
                                      .target = "/v2/lib/a/manifests/" + Digest::of(manifest).str(),
                                      .headers = {{"Content-Type", json_type}},
                                      .body = manifest}));
  }
  for (const auto& answer : answers) registry.poll_until([&] { return answer->has_value(); });
  CHECK(registry.all_pages(referrers_path) == Notes{"0", "1", "2", "3", "4", "5", "6", "7"});
}

TEST_CASE("an index that another proxy wrote at the same time takes no referrer away") {
  Stage registry;
  registry.push(referrer("text/plain", "1"));
  auto& tags = registry.transfer->tags["lib/a"];
  const std::string tag = referrers_tag(subject_digest);
  const Digest without = tags.at(tag);
  // The other one has read the index before this push, and writes its own after it.
  unsigned overwritten = 0;
  registry.transfer->after_put_tag = [&] {
    if (overwritten++ == 0) tags.at(tag) = without;
  };
  CHECK(registry.push(referrer("text/plain", "2")).status == 201);
  CHECK(overwritten == 2);
  CHECK(registry.all_pages(referrers_path) == Notes{"1", "2"});
  registry.transfer->after_put_tag = [&] { tags.at(tag) = without; };
  CHECK(registry.push(referrer("text/plain", "3")).status == 503);
}

}  // namespace
}  // namespace krakend::registry
