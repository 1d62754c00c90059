#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "krakend/api/services.h"
#include "krakend/backend/backend.h"
#include "krakend/cluster/hosts.h"
#include "krakend/core/time.h"
#include "krakend/retry/retry_queue.h"
#include "roles/build_index/dependency_resolver.h"
#include "roles/build_index/neighbours.h"
#include "roles/build_index/tag_replicator.h"

namespace krakend::build_index {

/// How long answers are kept that the backend gave (contract config-ops §5.4). A tag that this build-index is
/// told of changes at once; one that another build-index was told of, after its time. 0: nothing is kept.
struct ResponseCacheOptions {
  Duration tag_ttl = 5min;
  Duration list_ttl = 30s;
  Duration repository_ttl = 1s;
  /// Failures of lists; a tag that is not there is asked for again at once.
  Duration error_ttl = 1s;
};

struct BuildIndexOptions {
  io::Address listen;
  cluster::HostsOptions origins;
  ResponseCacheOptions cache;
  /// tag_types: regular expression over "repo:tag" → how its dependencies are found; the first match wins.
  std::vector<std::pair<std::string, TagType>> tag_types{{".*", TagType::docker}};
  NeighboursOptions neighbours;
  Remotes remotes;
  /// Of each remote.
  retry::RetryQueueOptions replication{200'000, 4, {1s, 2, 30s}, true, true};
  /// Where other clusters push to, "host:port"; empty: what `origins` says.
  std::string advertised_origin;
};

/// Tags (contract http-api §6): put with dependency check, get, head, list, health. A put that is answered
/// 200 is durable in the backend and visible to the next get; the other build-indexes of the cluster have
/// been told, and its copies to other clusters are certain.
class BuildIndex {
 public:
  /// `replications` may be null while there are no remotes.
  BuildIndex(api::Services services, backend::Backends& backends, retry::TaskTable* replications,
             BuildIndexOptions options);
  ~BuildIndex();
  Result<io::Address> start();
  /// What may change while it runs: the lists of origins and neighbours.
  void configure(const BuildIndexOptions& options);
  Task<> stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace krakend::build_index
