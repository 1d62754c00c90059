#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "krakend/api/services.h"
#include "krakend/backend/backend.h"
#include "krakend/cluster/hosts.h"
#include "krakend/core/time.h"

namespace krakend::build_index {

enum class TagType { docker, plain };

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
};

/// Tags (contract http-api §6): put with dependency check, get, head, list, health. A put that is answered
/// 200 is durable in the backend and visible to the next get.
class BuildIndex {
 public:
  BuildIndex(api::Services services, backend::Backends& backends, BuildIndexOptions options);
  ~BuildIndex();
  Result<io::Address> start();
  /// What may change while it runs: the fixed list of origins.
  void configure(const BuildIndexOptions& options);
  Task<> stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace krakend::build_index
