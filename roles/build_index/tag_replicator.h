#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "krakend/api/clients.h"
#include "krakend/core/log.h"
#include "krakend/core/metrics.h"
#include "krakend/io/clock.h"
#include "krakend/io/random.h"
#include "krakend/io/task_group.h"
#include "krakend/retry/retry_queue.h"
#include "roles/build_index/dependency_resolver.h"
#include "roles/build_index/tag_store.h"

namespace krakend::build_index {

/// Address of a remote build-index ("host:port") → regular expressions over "repo:tag" (RE2, unanchored).
using Remotes = std::map<std::string, std::vector<std::string>>;

/// Copies tags to other clusters, blobs first, in the background, until that has succeeded (contract
/// backends-replication §12). What is copied is where the tag leads when the copy begins, so a tag that moves
/// meanwhile is copied once. A tag that came from another cluster only fills gaps. Each remote has a queue of
/// its own; while a remote does not answer one call at a time looks whether it is back. Loop thread.
class TagReplicator {
 public:
  struct Services {
    io::Loop& loop;
    io::Clock& clock;
    io::Random& random;
    http::Client& client;
    io::TaskGroup& tasks;
    retry::TaskTable* table;  ///< null: there are no remotes
    api::OriginCluster& origins;
    DependencyResolver& resolver;
    TagStore& tags;
    const Metrics& metrics;
  };
  TagReplicator(Services services, retry::RetryQueueOptions options, Logger log);
  ~TagReplicator();

  /// invalid_argument: an address or a pattern that is none; the error names the key.
  Result<void> add_remotes(const Remotes& remotes);
  /// Reads what an earlier run left, drops what no remote wants any more, and begins. Blocks.
  Result<void> start();

  struct Wish {
    std::string tag;
    Digest digest;
    std::vector<Digest> dependencies;
    Duration delay{0};
    bool forwarded = false;  ///< it came from another cluster
  };
  /// Whether some remote wants the tag.
  bool wanted(const std::string& tag) const;
  /// For all remotes that want it; durable when it returns. unavailable: too many tags wait for a remote.
  Task<Result<void>> add(Wish wish);
  /// Ends what is running; awaited before destruction.
  Task<> stop();

 private:
  class Remote;
  struct Counts {
    Counter added;
    Counter refused;
    Counter copied;
    Counter failures;
    Histogram seconds;
    Histogram lifetime;
  };
  void count(const Metrics& metrics);
  Task<> drop(std::vector<retry::RetryTask> unwanted);

  Services services_;
  const retry::RetryQueueOptions options_;
  Logger log_;
  Counts counts_;
  std::vector<std::unique_ptr<Remote>> remotes_;
};

}  // namespace krakend::build_index
