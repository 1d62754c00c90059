#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "krakend/api/clients.h"
#include "krakend/core/content_digest.h"
#include "krakend/io/clock.h"
#include "krakend/io/random.h"
#include "krakend/io/task_group.h"
#include "roles/build_index/tag_store.h"

namespace krakend::build_index {

enum class TagType { docker, plain };

/// All that another cluster needs for a tag: blobs, those that a manifest names before it and the tag's own
/// last, and the internal tags that stand for content by another algorithm.
struct Closure {
  std::vector<Digest> blobs;
  std::vector<std::pair<std::string, Digest>> aliases;
};

/// What must be at the origins before a tag may point at a digest (contract core-formats §22). Loop thread.
class DependencyResolver {
 public:
  struct Services {
    io::Loop& loop;
    io::Clock& clock;
    io::Random& random;
    io::TaskGroup& tasks;
    api::OriginCluster& origins;
    TagStore& tags;
  };
  explicit DependencyResolver(Services services);
  ~DependencyResolver();
  /// Adds a rule: regular expression over "repo:tag" (RE2, unanchored) → type; the first match wins.
  Result<void> add_rule(const std::string& regex, TagType type);

  /// In document order, the digest itself last.
  Task<Result<std::vector<Digest>>> resolve(std::string tag, Digest digest);
  /// The same, and what the manifests of an index name in their turn.
  Task<Result<Closure>> close(std::string tag, Digest digest);
  /// Success when the origins have all of them; the error names one that is missing.
  Task<Result<void>> check(std::string tag, std::vector<Digest> dependencies);

 private:
  struct Rule;
  const Rule* rule_for(const std::string& tag) const;
  /// What the manifest names.
  struct References;
  Task<Result<References>> read_manifest(std::string tag, Digest digest);
  /// Through the alias, where the manifest names content by another algorithm.
  Task<Result<Digest>> sha256_of(ContentDigest digest);
  Task<Result<std::string>> download_manifest(std::string tag, Digest digest);
  Task<> check_one(std::string tag, Digest dependency, std::shared_ptr<Result<void>> outcome);

  Services services_;
  std::vector<std::unique_ptr<Rule>> rules_;
};

}  // namespace krakend::build_index
