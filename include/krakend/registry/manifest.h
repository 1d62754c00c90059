#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "krakend/core/content_digest.h"
#include "krakend/core/result.h"

namespace krakend::registry {

namespace media_type {
inline constexpr std::string_view oci_manifest = "application/vnd.oci.image.manifest.v1+json";
inline constexpr std::string_view oci_index = "application/vnd.oci.image.index.v1+json";
inline constexpr std::string_view docker_manifest = "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr std::string_view docker_list = "application/vnd.docker.distribution.manifest.list.v2+json";
}  // namespace media_type

/// Levels of arrays and objects in a manifest.
inline constexpr size_t manifest_depth_max = 32;
/// Config, layers and child manifests that one manifest may name: each costs a look-up when it is pushed.
inline constexpr size_t manifest_references_max = 4096;

/// What a manifest document says of other blobs.
struct Manifest {
  std::string media_type;
  /// Config and layers, or child manifests, in order and without duplicates. Layers that are fetched
  /// elsewhere (with `urls`) are left out: nobody has to have them here.
  std::vector<ContentDigest> references;
  /// Those of the references that are manifests themselves.
  std::unordered_set<ContentDigest> manifests;
  /// Bytes of each reference, where its descriptor says how many.
  std::unordered_map<ContentDigest, uint64_t> sizes;
  /// The layers that were left out.
  std::vector<ContentDigest> external;
  /// The manifest this one refers to; need not exist.
  std::optional<ContentDigest> subject;
};

/// Parses a manifest that is pushed under this Content-Type: Docker schema 2, Docker list, OCI manifest and
/// OCI index. A document of another media type passes when it says so itself; whatever looks like a
/// descriptor in it is a reference. The error says what is wrong with the document.
Result<Manifest> parse_manifest(std::string_view json, std::string_view content_type);

/// Every digest that stands anywhere in a text: what a document of unknown form may refer to.
std::vector<ContentDigest> digests_in(std::string_view text);

/// Content-Type of a stored manifest, judged from its text: `mediaType`, else OCI index when it has
/// "manifests", else OCI manifest. nullopt when the text is no JSON object.
std::optional<std::string> manifest_media_type(std::string_view json);

/// The subject of a stored manifest; nullopt when it has none that is valid.
std::optional<ContentDigest> manifest_subject(std::string_view json);

}  // namespace krakend::registry
