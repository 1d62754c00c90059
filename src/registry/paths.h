#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "krakend/core/content_digest.h"
#include "registry/errors.h"

namespace krakend::registry {

enum class Endpoint { root, base, catalog, tags, manifest, referrers, blob, upload_start, upload };

/// What a request path names.
struct Target {
  Endpoint endpoint = Endpoint::root;
  std::string name;  ///< repository
  /// Blob, manifest by digest, or subject of referrers, as the client named it.
  std::optional<ContentDigest> named;
  std::optional<Digest> digest;  ///< its SHA-256, once that is known
  std::string tag;               ///< manifest by tag
  std::string upload;            ///< id of an upload session
};

/// Either a target, or the answer to a path that names none: `found` false means that the path is not the
/// registry's at all.
struct ParsedPath {
  bool found = false;
  Target target;
  std::optional<ErrorEntry> error;
};

/// Parses a received path (still escaped). Escapes are decoded once; names may contain slashes, so the end of
/// the path decides.
ParsedPath parse_path(std::string_view escaped);

}  // namespace krakend::registry
