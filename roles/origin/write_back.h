#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "krakend/backend/backend.h"
#include "krakend/core/digest.h"
#include "krakend/core/log.h"
#include "krakend/core/metrics.h"
#include "krakend/io/condition.h"
#include "krakend/io/random.h"
#include "krakend/io/task_group.h"
#include "krakend/retry/retry_queue.h"
#include "krakend/storage/blob_store.h"
#include "roles/origin/replicator.h"

namespace krakend::origin {

/// Copies committed blobs to the backend of their namespace, in the background, until that has succeeded.
/// Until then a blob is flagged, so that nothing deletes the only copy. Loop thread.
class WriteBack {
 public:
  struct Services {
    io::Loop& loop;
    io::Clock& clock;
    io::Random& random;
    io::TaskGroup& tasks;
    storage::BlobStore& store;
    const backend::Backends& backends;
    retry::TaskTable& table;
    Replicator& replicator;
    const Metrics& metrics;
  };
  WriteBack(Services services, retry::RetryQueueOptions options, Logger log);

  /// Reads what an earlier run left, and begins. Blocks.
  Result<void> start();
  /// A copy that is certain before its blob is there: a blob that others can see, but that nobody will write
  /// back, would be taken for safe. Nothing is copied before this is destroyed, which is when the blob has
  /// been committed with its flag, or not.
  class Promise {
   public:
    Promise(WriteBack& owner, Digest digest);
    Promise(Promise&& other) noexcept
        : owner_(std::exchange(other.owner_, nullptr)), digest_(other.digest_) {}
    Promise& operator=(Promise&&) = delete;
    ~Promise();
    const Digest& digest() const { return digest_; }

   private:
    WriteBack* owner_;
    Digest digest_;
  };
  /// For a blob that is about to be committed. The copy is certain when this returns: it survives a restart.
  /// Not made before `delay`; not at all when the backend has the blob by then (contract http-api §4.7).
  /// unavailable: too many blobs wait already.
  Task<Result<Promise>> promise(std::string ns, Digest digest, Duration delay);
  /// The blob was not committed: nothing is to be copied, unless it has come otherwise meanwhile.
  Task<> withdraw(Promise promise);
  /// Whether blobs of that namespace are written back at all.
  bool has_backend(const std::string& ns) const { return services_.backends.find(ns).has_value(); }
  /// The same for a blob that was there already: nothing to do when the backend has it, or when no backend
  /// matches the namespace.
  Task<Result<void>> ensure(std::string ns, Digest digest);
  /// Writes a blob back now, for all namespaces that wait for it.
  Task<Result<void>> finish(Digest digest);
  /// The blob is not to be written back any more; after the end of an attempt that is under way.
  Task<Result<void>> forget(Digest digest);
  retry::RetryQueue::Status status() const { return queue_.status(); }
  Task<> stop() { return queue_.stop(); }

 private:
  Task<Result<void>> execute(retry::RetryTask task);
  void count(const Metrics& metrics);
  Task<Result<void>> copy(retry::RetryTask task, Digest digest);
  /// Flags without a task come from a crash between the two, or from a lost database.
  Task<> adopt_flagged();
  Task<> adopt(std::vector<Digest> flagged);

  Task<Result<void>> enqueue(std::string ns, Digest digest, Duration delay);

  Services services_;
  Logger log_;
  std::map<Digest, unsigned> promised_;
  std::set<Digest> withdrawn_;  ///< whose tasks go unexecuted
  io::Condition promise_over_;
  retry::RetryQueue queue_;
  Counter added_;
  Counter refused_;
  Counter written_;
  Counter failures_;
  Counter missing_;
  Histogram upload_seconds_;
  Histogram lifetime_;
};

}  // namespace krakend::origin
