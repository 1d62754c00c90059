#pragma once

#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "krakend/core/digest.h"
#include "krakend/io/loop.h"
#include "krakend/io/task_group.h"
#include "krakend/registry/registry.h"
#include "registry/aliases.h"
#include "registry/manifest_store.h"

namespace krakend::registry {

/// Which tags refer to a blob. There is no index of it that could be wrong: every question reads all tags.
/// What a manifest refers to never changes, so each manifest is read once. Loop thread.
class Usage {
 public:
  Usage(io::Loop& loop, Transfer& transfer, ManifestStore& store, Aliases& aliases)
      : loop_(loop), transfer_(transfer), store_(store), aliases_(aliases), tasks_(loop) {}
  Task<> stop() { return tasks_.stop(); }

  /// A tag, as "repo:tag", whose manifest is the blob or refers to it, through indexes too; nullopt when
  /// there is none. An error when a manifest could not be read: then nobody knows.
  Task<Result<std::optional<std::string>>> find_user(Digest digest);

 private:
  struct Search;
  struct References {
    std::vector<Digest> children;  ///< manifests
    std::vector<Digest> leaves;    ///< config and layers
  };
  using ReferencesPtr = std::shared_ptr<const References>;

  Task<> look_at(std::shared_ptr<Search> search, size_t index);
  Task<Result<bool>> reaches(std::string repo, Digest from, Digest wanted);
  /// Of a manifest; nothing for a blob that is none or that is not there.
  Task<Result<ReferencesPtr>> references_of(std::string repo, Digest digest);

  /// Appends the SHA-256 of each; names that lead nowhere are left out.
  Task<Result<void>> resolve(std::vector<ContentDigest> names, std::vector<Digest>& out);

  io::Loop& loop_;
  Transfer& transfer_;
  ManifestStore& store_;
  Aliases& aliases_;
  std::unordered_map<Digest, ReferencesPtr> known_;
  io::TaskGroup tasks_;
};

}  // namespace krakend::registry
