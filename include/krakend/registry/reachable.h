#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include "krakend/core/digest.h"
#include "krakend/io/loop.h"
#include "krakend/registry/registry.h"

namespace krakend::registry {

/// What tags lead to.
struct Reachable {
  size_t tags = 0;
  size_t manifests = 0;
  /// Manifests, configs and layers.
  std::unordered_set<Digest> blobs;
  /// Lists of referrers (tags of the form sha256-<hex>) whose subject nothing leads to: what they list is not
  /// in `blobs`.
  struct Orphan {
    std::string repo;
    std::string tag;
    Digest index;
  };
  std::vector<Orphan> orphans;
  /// "repo:tag: manifest sha256:… is not there": what these manifests referred to cannot be known.
  std::vector<std::string> missing;
};

/// Reads every tag and every manifest. A list of referrers counts when its subject does. An error when
/// something could not be read: then nobody knows. `tasks` are told to stop before `transfer` goes. Loop thread.
Task<Result<Reachable>> find_reachable(io::Loop& loop, io::TaskGroup& tasks, Transfer& transfer,
                                       uint64_t manifest_size_max);

}  // namespace krakend::registry
