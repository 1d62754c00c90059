#pragma once

#include <string>
#include <vector>

#include "krakend/backend/backend.h"
#include "krakend/core/digest.h"
#include "krakend/core/log.h"
#include "krakend/core/metrics.h"
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
  /// The copy is certain when this returns: it survives a restart. Not made before `delay`; not at all when
  /// the backend has the blob by then, or when no backend matches the namespace (contract http-api §4.7).
  /// unavailable: too many blobs wait already.
  /// `flagged_already`: the blob has the flag, see storage::Upload::commit().
  Task<Result<void>> add(std::string ns, Digest digest, Duration delay, bool flagged_already = false);
  /// Whether blobs of that namespace are written back at all.
  bool has_backend(const std::string& ns) const { return services_.backends.find(ns).has_value(); }
  /// As add(), for a blob that was there already: nothing to do when the backend has it.
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

  Services services_;
  Logger log_;
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
