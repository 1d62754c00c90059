#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>

#include "krakend/backend/backend.h"
#include "krakend/core/digest.h"
#include "krakend/core/log.h"
#include "krakend/core/metrics.h"
#include "krakend/http/message.h"
#include "krakend/io/clock.h"
#include "krakend/io/condition.h"
#include "krakend/io/content.h"
#include "krakend/io/task_group.h"
#include "krakend/storage/blob_store.h"
#include "roles/origin/replicator.h"

namespace krakend::origin {

/// Outcome of a refresh that did not bring the blob: 202, 404 and 503 have no body (contract http-api §4.4).
http::Response refresh_response(const Error& error);

/// Fetches blobs from their backend into the local store when a request misses (contract http-api §4.4
/// "Refresh"). One fetch per digest at a time; failures are remembered for a while. Loop thread.
class BlobRefresher {
 public:
  struct Services {
    io::Loop& loop;
    io::Clock& clock;
    io::TaskGroup& tasks;
    storage::BlobStore& store;
    const backend::Backends& backends;
    Replicator& replicator;
    const Metrics& metrics;
  };
  /// A blob of more than `size_limit` bytes is not fetched; 0: no limit.
  BlobRefresher(Services services, std::map<uint64_t, uint64_t> piece_lengths, uint64_t size_limit,
                Logger log);

  /// How long a request waits for a running fetch before it is told to ask again: small blobs come in one
  /// round trip.
  static constexpr Duration wait_limit = 2s;
  /// A failed fetch is not tried again for this long; its outcome is replayed.
  static constexpr Duration failure_memory = 15s;
  /// Fetches at once; how long a request waits for its turn; and failures remembered at once.
  static constexpr size_t max_fetches = 1000;
  static constexpr Duration slot_wait = 5s;
  static constexpr size_t max_failures = 10'000;

  /// Success: the store has the blob now. pending: a fetch is running; not_found: the backend has no such
  /// blob; unavailable: too many fetches.
  /// `share`: the other owners get the blob too.
  Task<Result<void>> refresh(std::string ns, Digest digest, bool share = true);
  /// The blob while it arrives, when a fetch is running and has begun: its last bytes are held back until the
  /// whole has been verified. Null otherwise.
  io::ContentPtr arriving(const Digest& digest) const;
  size_t running() const { return fetches_.size(); }
  bool fetching(const Digest& digest) const { return fetches_.contains(digest); }
  /// Size by the backend; not_found. An unknown namespace is internal.
  Task<Result<uint64_t>> stat(std::string ns, Digest digest) const;

 private:
  struct Fetch {
    explicit Fetch(io::Loop& loop) : ended(loop) {}
    io::Condition ended;
    bool done = false;
    Result<void> outcome;
    uint64_t size = 0;
    storage::UploadPtr upload;  ///< once bytes come from the backend
  };
  class Arriving;
  using FetchPtr = std::shared_ptr<Fetch>;
  struct Failure {
    Error error;
    TimePoint expires;
  };

  Result<backend::BackendPtr> backend_for(const std::string& ns) const;
  const Error* remembered_failure(const Digest& digest);
  void remember_failure(const Digest& digest, Error error);
  Task<Result<void>> wait_for(FetchPtr fetch);
  Task<Result<void>> wait_for_slot();
  struct Source {
    std::string ns;
    backend::BackendPtr backend;
    Replicator::Copy copy;  ///< with a host: instead of the backend
    bool share = true;
  };
  Task<> run(FetchPtr fetch, Source source, Digest digest, uint64_t size);
  Task<Result<void>> download(FetchPtr fetch, backend::BackendPtr backend, Digest digest,
                              uint64_t piece_length);

  Services services_;
  const std::map<uint64_t, uint64_t> piece_lengths_;
  const uint64_t size_limit_;
  Logger log_;
  std::unordered_map<Digest, FetchPtr> fetches_;
  std::unordered_map<Digest, Failure> failures_;
  io::Condition fetch_ended_;
  Counter fetched_;
  Counter failed_;
};

}  // namespace krakend::origin
