#include "roles/build_index/manifest_references.h"

#include <nlohmann/json.hpp>
#include <string>

namespace krakend::build_index {
namespace {

using Json = nlohmann::json;

constexpr std::string_view docker_manifest = "application/vnd.docker.distribution.manifest.v2+json";
constexpr std::string_view docker_list = "application/vnd.docker.distribution.manifest.list.v2+json";
constexpr std::string_view oci_manifest = "application/vnd.oci.image.manifest.v1+json";
constexpr std::string_view oci_index = "application/vnd.oci.image.index.v1+json";

std::string text_at(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

bool has_manifests(const Json& document) {
  const auto found = document.find("manifests");
  return found != document.end() && found->is_array() && !found->empty();
}

Result<void> add_reference(const Json& descriptor, std::vector<Digest>& out) {
  if (!descriptor.is_object())
    return fail(Errc::invalid_argument, "parse manifest: a descriptor is not an object");
  auto digest = Digest::parse(text_at(descriptor, "digest"));
  if (!digest) return fail(Errc::invalid_argument, "parse manifest: {}", digest.error().message);
  out.push_back(*digest);
  return {};
}

Result<void> add_references(const Json& document, const char* key, std::vector<Digest>& out) {
  const auto list = document.find(key);
  if (list == document.end() || list->is_null()) return {};
  if (!list->is_array()) return fail(Errc::invalid_argument, "parse manifest: {} is not a list", key);
  for (const Json& descriptor : *list) {
    auto added = add_reference(descriptor, out);
    if (!added) return added;
  }
  return {};
}

Result<void> check_schema_version(const Json& document) {
  const auto version = document.find("schemaVersion");
  const int64_t value =
      version != document.end() && version->is_number_integer() ? version->get<int64_t>() : 0;
  if (value == 2) return {};
  return fail(Errc::invalid_argument, "parse manifest: unsupported schema version: {}", value);
}

}  // namespace

Result<std::vector<Digest>> manifest_references(std::string_view json) {
  const Json document = Json::parse(json, nullptr, false);
  if (!document.is_object()) return fail(Errc::invalid_argument, "parse manifest: not a JSON object");
  auto version = check_schema_version(document);
  if (!version) return propagate(version);

  std::string type = text_at(document, "mediaType");
  if (type.empty()) type = has_manifests(document) ? oci_index : oci_manifest;

  std::vector<Digest> references;
  Result<void> added;
  if (type == docker_manifest || type == oci_manifest) {
    const auto config = document.find("config");
    if (config == document.end()) return fail(Errc::invalid_argument, "parse manifest: it has no config");
    added = add_reference(*config, references);
    if (added) added = add_references(document, "layers", references);
  } else if (type == docker_list || type == oci_index) {
    added = add_references(document, "manifests", references);
  } else {
    return fail(Errc::invalid_argument, "parse manifest: unknown manifest mediatype: {}", type);
  }
  if (!added) return propagate(added);
  return references;
}

}  // namespace krakend::build_index
