#pragma once

#include <optional>
#include <vector>

#include "krakend/core/content_digest.h"
#include "krakend/io/task.h"
#include "krakend/registry/registry.h"

namespace krakend::registry {

/// Names of content by other algorithms than SHA-256, kept as tags of krakend's own at the build-index, where
/// agents and build-index find them too. Loop thread.
class Aliases {
 public:
  explicit Aliases(Transfer& transfer) : transfer_(transfer) {}

  /// The SHA-256; not_found when nobody has pushed the content under this name.
  Task<Result<Digest>> resolve(ContentDigest name);
  struct Resolved {
    ContentDigest name;
    std::optional<Digest> digest;  ///< nullopt: nobody has pushed it under this name
  };
  /// All of them, in order.
  Task<Result<std::vector<Resolved>>> resolve_all(std::vector<ContentDigest> names);
  /// Nothing to do for a SHA-256.
  Task<Result<void>> put(ContentDigest name, Digest digest);
  Task<Result<void>> remove(ContentDigest name);

 private:
  Transfer& transfer_;
};

}  // namespace krakend::registry
