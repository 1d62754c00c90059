#include "krakend/registry/manifest.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_set>

namespace krakend::registry {

namespace {

using Json = nlohmann::json;

constexpr std::string_view manifests_key = "manifests";

/// Deep nesting costs the parser far more memory than text, so it is refused before.
bool too_deep(std::string_view text) {
  size_t depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > manifest_depth_max) return true;
    } else if ((c == '}' || c == ']') && depth > 0) {
      --depth;
    }
  }
  return false;
}

std::optional<Json> parse_object(std::string_view text) {
  if (too_deep(text)) return std::nullopt;
  Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return std::nullopt;
  return json;
}

/// nullptr when the key is absent or null.
const Json* member(const Json& object, std::string_view key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

std::string text_member(const Json& object, const char* key) {
  const Json* value = member(object, key);
  return value != nullptr && value->is_string() ? value->get<std::string>() : std::string();
}

bool known(std::string_view type) {
  return type == media_type::oci_manifest || type == media_type::oci_index ||
         type == media_type::docker_manifest || type == media_type::docker_list;
}

/// Whether documents of this type list manifests.
bool is_index(std::string_view type) {
  return type == media_type::oci_index || type == media_type::docker_list;
}

/// Without parameters such as charset, and without blanks around it.
std::string_view bare_type(std::string_view content_type) {
  content_type = content_type.substr(0, content_type.find(';'));
  while (!content_type.empty() && content_type.front() == ' ') content_type.remove_prefix(1);
  while (!content_type.empty() && content_type.back() == ' ') content_type.remove_suffix(1);
  return content_type;
}

std::string derived_type(const Json& document) {
  std::string declared = text_member(document, "mediaType");
  if (!declared.empty()) return declared;
  const Json* manifests = member(document, manifests_key);
  return std::string(manifests != nullptr && manifests->is_array() ? media_type::oci_index
                                                                   : media_type::oci_manifest);
}

Result<ContentDigest> descriptor_digest(const Json& descriptor, std::string_view what) {
  if (!descriptor.is_object()) return fail(Errc::invalid_argument, "{} is not a descriptor object", what);
  const std::string text = text_member(descriptor, "digest");
  auto digest = ContentDigest::parse(text);
  if (!digest) return fail(Errc::invalid_argument, "{}: {}", what, digest.error().message);
  const Json* size = member(descriptor, "size");
  if (size != nullptr && !size->is_number_unsigned()) {
    return fail(Errc::invalid_argument, "size of {} is not a byte count", what);
  }
  return *digest;
}

/// Collects references without duplicates.
class References {
 public:
  Result<void> add(const Json& descriptor, std::string_view what, bool in_index = false) {
    auto digest = descriptor_digest(descriptor, what);
    if (!digest) return propagate(digest);
    const Json* urls = member(descriptor, "urls");
    if (urls != nullptr && urls->is_array() && !urls->empty()) {
      external_.push_back(*digest);
      return {};
    }
    if (!seen_.insert(*digest).second) return {};
    list_.push_back(*digest);
    if (in_index || known(text_member(descriptor, "mediaType"))) manifests_.insert(*digest);
    const Json* size = member(descriptor, "size");
    if (size != nullptr && size->is_number_unsigned()) sizes_[*digest] = size->get<uint64_t>();
    return {};
  }
  Result<void> add_all(const Json& document, std::string_view key) {
    const Json* list = member(document, key);
    if (list == nullptr) return {};
    if (!list->is_array()) return fail(Errc::invalid_argument, "\"{}\" is not an array", key);
    if (list->size() > manifest_references_max) {
      return fail(Errc::invalid_argument, "{} entries in \"{}\": at most {} are taken", list->size(), key,
                  manifest_references_max);
    }
    const bool in_index = key == manifests_key;
    for (size_t i = 0; i < list->size(); ++i) {
      if (auto added = add((*list)[i], fmt::format("{}[{}]", key, i), in_index); !added)
        return propagate(added);
    }
    return {};
  }
  std::vector<ContentDigest> take() { return std::move(list_); }
  std::unordered_set<ContentDigest> take_manifests() { return std::move(manifests_); }
  std::unordered_map<ContentDigest, uint64_t> take_sizes() { return std::move(sizes_); }
  std::vector<ContentDigest> take_external() { return std::move(external_); }

 private:
  std::vector<ContentDigest> list_;
  std::unordered_set<ContentDigest> manifests_;
  std::unordered_map<ContentDigest, uint64_t> sizes_;
  std::vector<ContentDigest> external_;
  std::unordered_set<ContentDigest> seen_;
};

/// Of a document of unknown type: the members that manifests of all kinds use, where they hold descriptors.
References likely_references(const Json& document) {
  References references;
  const auto add = [&references](const Json& descriptor, bool in_index) {
    if (descriptor_digest(descriptor, "")) (void)references.add(descriptor, "", in_index);
  };
  if (const Json* config = member(document, "config")) add(*config, false);
  for (const std::string_view key : {std::string_view("layers"), std::string_view("blobs"), manifests_key}) {
    const Json* list = member(document, key);
    if (list == nullptr || !list->is_array() || list->size() > manifest_references_max) continue;
    for (const Json& descriptor : *list) add(descriptor, key == manifests_key);
  }
  return references;
}

Result<References> references_of(const Json& document, bool index) {
  References references;
  if (index) {
    if (member(document, "config") != nullptr || member(document, "layers") != nullptr) {
      return fail(Errc::invalid_argument, "an index must not have config or layers");
    }
    if (auto added = references.add_all(document, manifests_key); !added) return propagate(added);
    return references;
  }
  if (member(document, manifests_key) != nullptr) {
    return fail(Errc::invalid_argument, "a manifest must not have \"manifests\"");
  }
  const Json* config = member(document, "config");
  if (config == nullptr) return fail(Errc::invalid_argument, "\"config\" is missing");
  if (auto added = references.add(*config, "config"); !added) return propagate(added);
  if (auto added = references.add_all(document, "layers"); !added) return propagate(added);
  return references;
}

Result<void> check_schema(const Json& document, std::string_view content_type, bool known_type) {
  const Json* version = member(document, "schemaVersion");
  const bool number = version != nullptr && version->is_number_integer();
  const bool old_type = content_type.starts_with("application/vnd.docker.distribution.manifest.v1+");
  if (old_type || (number && version->get<int64_t>() == 1)) {
    return fail(Errc::invalid_argument,
                "schema 1 manifests are not supported: push the image with schema 2 or in OCI format");
  }
  if (known_type && (!number || version->get<int64_t>() != 2))
    return fail(Errc::invalid_argument, "\"schemaVersion\" is not 2");
  return {};
}

/// The type is read from the document when it is pulled, so a document without one can only be of the types
/// that show.
Result<std::string> check_type(const Json& document, std::string_view content_type) {
  std::string type = derived_type(document);
  const bool declared = member(document, "mediaType") != nullptr;
  const bool means_it =
      content_type.starts_with("application/vnd.");  // tools send all kinds of general types
  if (means_it && content_type != type) {
    return fail(Errc::invalid_argument, "Content-Type is {} but the document says {}", content_type,
                declared ? type : type + " (it has no mediaType)");
  }
  return type;
}

}  // namespace

std::vector<ContentDigest> digests_in(std::string_view text) {
  std::vector<ContentDigest> found;
  std::unordered_set<ContentDigest> seen;
  for (const auto& [prefix, digits] :
       {std::pair<std::string_view, size_t>{"sha256:", 64}, {"sha512:", 128}}) {
    for (size_t at = text.find(prefix); at != std::string_view::npos; at = text.find(prefix, at + 1)) {
      auto digest = ContentDigest::parse(text.substr(at, prefix.size() + digits));
      if (digest && seen.insert(*digest).second) found.push_back(*digest);
    }
  }
  return found;
}

Result<Manifest> parse_manifest(std::string_view json, std::string_view content_type) {
  const auto document = parse_object(json);
  if (!document) {
    return fail(Errc::invalid_argument, "the manifest is not a JSON object of at most {} levels",
                manifest_depth_max);
  }
  const std::string_view sent_type = bare_type(content_type);
  auto type = check_type(*document, sent_type);
  const bool known_type = type && known(*type);
  if (auto checked = check_schema(*document, sent_type, known_type); !checked) return propagate(checked);
  if (!type) return propagate(type);
  auto references = known_type ? references_of(*document, is_index(*type))
                               : Result<References>(likely_references(*document));
  if (!references) return propagate(references);
  Manifest manifest{std::move(*type), references->take(), references->take_manifests(),
                    references->take_sizes(), references->take_external(), std::nullopt};
  if (const Json* subject = member(*document, "subject")) {
    auto digest = descriptor_digest(*subject, "subject");
    if (!digest) return propagate(digest);
    manifest.subject = *digest;
  }
  return manifest;
}

std::optional<std::string> manifest_media_type(std::string_view json) {
  const auto document = parse_object(json);
  if (!document) return std::nullopt;
  std::string type = derived_type(*document);
  // The value becomes a header field: nothing that could end the line may pass.
  const bool printable = std::all_of(type.begin(), type.end(), [](char c) { return c > ' ' && c < 127; });
  return printable ? type : std::string("application/json");
}

std::optional<ContentDigest> manifest_subject(std::string_view json) {
  constexpr std::string_view key = "subject";
  if (json.find(key) == std::string_view::npos) return std::nullopt;
  const auto document = parse_object(json);
  const Json* subject = document ? member(*document, key) : nullptr;
  if (subject == nullptr) return std::nullopt;
  auto digest = descriptor_digest(*subject, key);
  return digest ? std::optional(*digest) : std::nullopt;
}

}  // namespace krakend::registry
