#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <unordered_set>
#include <vector>

#include "krakend/api/clients.h"
#include "krakend/api/collection.h"
#include "krakend/core/log.h"
#include "krakend/io/clock.h"
#include "krakend/registry/reachable.h"
#include "krakend/registry/registry.h"
#include "roles/gc/cluster_reader.h"

namespace krakend::gc {

struct CollectorOptions {
  /// One origin is enough: it names the others of its ring.
  std::vector<std::string> origins;
  std::vector<std::string> build_indexes;
  /// Whose backends are swept.
  std::vector<std::string> namespaces{std::string(api::push_namespace)};
  /// What somebody used in this time stays: a push may be under way that relies on it.
  Duration min_age = 24h;
  /// Otherwise only say what would go.
  bool remove = false;
  /// Go on although manifests are not there that tags lead to.
  bool skip_missing = false;
};

struct CollectorReport {
  size_t tags = 0;
  size_t manifests = 0;
  size_t in_use = 0;  ///< blobs that are there and that tags lead to
  size_t unused = 0;
  size_t removed = 0;  ///< or would be
  uint64_t removed_bytes = 0;
  size_t kept = 0;  ///< unused, but used too lately, or busy
};

/// Removes what no tag leads to from the origins and their backends, while the cluster runs. First everything
/// is listed, then what tags lead to is marked, then the rest is removed in batches: each is frozen at all
/// origins, which refuse what was used since shortly before the marking began, and released when it is gone.
/// So whoever looks for a blob meanwhile either keeps it alive or waits and finds it gone. Loop thread.
class Collector {
 public:
  struct Services {
    io::Loop& loop;
    http::Client& client;
    io::Clock& clock;
    io::Random& random;
    io::TaskGroup& tasks;  ///< stopped before the collector goes
  };
  using Say = std::function<void(const std::string&)>;
  Collector(Services services, CollectorOptions options, Say say, Logger log);
  /// The error leaves everything consistent; the next run goes on.
  Task<Result<CollectorReport>> run();
  /// Awaited before it is destroyed.
  Task<> stop() { return origins_.stop(); }

 private:
  using Batch = std::vector<Digest>;
  Task<Result<void>> take_inventory();
  Task<Result<void>> collect(const registry::Reachable& reachable);
  Task<Result<void>> collect_batch(Batch batch);
  /// Freezes at all origins; those of the batch that are frozen everywhere, with their sizes.
  Task<Result<std::map<Digest, uint64_t>>> freeze(const Batch& batch);
  Task<Result<void>> remove(const std::map<Digest, uint64_t>& frozen);
  /// Removes the tags of lists of referrers; a list whose tag has changed meanwhile leaves the batch.
  Task<Result<void>> remove_orphan_tags(Batch& batch);
  /// Sweeps caches or backends; what is refused leaves the batch.
  Task<Result<void>> sweep(const std::string& host, api::CollectionRequest request, Batch& batch);
  Task<> release(Batch batch);
  Task<Result<void>> read_aliases();
  Task<Result<void>> remove_aliases(const Batch& batch);
  /// Removes deletion notes that everybody has read.
  Task<Result<void>> clean_notes();
  void keep(const Digest& digest, const std::string& why);

  Services services_;
  CollectorOptions options_;
  Say say_;
  Logger log_;
  api::OriginCluster origins_;
  api::TagClient tags_;
  ClusterReader reader_;
  TimePoint start_;
  std::vector<std::string> hosts_;  ///< all origins
  std::unordered_set<Digest> there_;
  std::map<Digest, registry::Reachable::Orphan> orphans_;  ///< by index
  std::multimap<Digest, std::string> aliases_;             ///< tags that name content by other algorithms
  CollectorReport report_;
};

}  // namespace krakend::gc
