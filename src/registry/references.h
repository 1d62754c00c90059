#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "krakend/core/digest.h"
#include "krakend/io/loop.h"
#include "registry/aliases.h"
#include "registry/manifest_store.h"

namespace krakend::registry {

/// What a manifest refers to.
struct References {
  std::vector<Digest> manifests;
  std::vector<Digest> leaves;  ///< config and layers
  bool missing = false;        ///< there is no such manifest
};
using ReferencesPtr = std::shared_ptr<const References>;

/// Reads each manifest once: what it refers to never changes. Loop thread.
class ReferenceReader {
 public:
  ReferenceReader(io::Loop& loop, ManifestStore& store, Aliases& aliases)
      : loop_(loop), store_(store), aliases_(aliases) {}
  /// Of a document that is no manifest: every digest in it.
  Task<Result<ReferencesPtr>> read(std::string repo, Digest digest);
  /// `manifests` and all that they lead to, without duplicates. What is not there leads nowhere.
  Task<Result<std::vector<Digest>>> below(std::string repo, std::vector<Digest> manifests);

 private:
  /// Appends the SHA-256 of each; names that lead nowhere are left out.
  Task<Result<void>> resolve(std::vector<ContentDigest> names, std::vector<Digest>& out);

  io::Loop& loop_;
  ManifestStore& store_;
  Aliases& aliases_;
  std::unordered_map<Digest, ReferencesPtr> known_;
};

}  // namespace krakend::registry
