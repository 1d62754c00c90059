#pragma once

#include <string>
#include <vector>

#include "krakend/api/clients.h"
#include "krakend/cluster/hosts.h"
#include "krakend/core/digest.h"
#include "krakend/core/log.h"
#include "krakend/core/metrics.h"
#include "krakend/http/client.h"
#include "krakend/io/bandwidth.h"
#include "krakend/io/random.h"
#include "krakend/io/task_group.h"
#include "krakend/storage/blob_store.h"

namespace krakend::origin {

/// Copies blobs of this origin to the other owners on the ring, to all at once. Failures are logged: each
/// owner can also get the blob from the backend. Loop thread.
class Replicator {
 public:
  struct Services {
    io::Loop& loop;
    io::Clock& clock;
    io::Random& random;
    http::Client& client;
    io::TaskGroup& tasks;
    storage::BlobStore& store;
    const cluster::HashRing& ring;
    const Metrics& metrics;
    /// What leaves the process and what comes in; copies come after what peers have asked for.
    io::Bandwidth& egress;
    io::Bandwidth& ingress;
  };
  /// The i-th receiver of a pushed blob waits i times `write_back_stagger` before it writes it back too.
  Replicator(Services services, std::string self, Duration write_back_stagger, Logger log);

  /// A freshly pushed blob: the receivers write it back too, staggered (contract http-api §4.7 step 4, §4.8).
  Task<> duplicate(std::string ns, Digest digest);
  /// A blob that came from the backend (contract http-api §4.9).
  Task<> transfer(Digest digest);

  /// Gives one origin a blob that it lacks.
  Task<Result<void>> give(std::string host, Digest digest);
  /// Another owner that has the blob on its disk.
  struct Copy {
    std::string host;
    uint64_t size = 0;
  };
  Task<Result<Copy>> find(std::string ns, Digest digest);
  /// The owner that gets the blob from the backend for all of them; empty when it is this origin.
  std::string first_owner(const Digest& digest) const;
  /// Gets the blob from that owner into the store.
  Task<Result<void>> fetch(Copy copy, std::string ns, Digest digest, uint64_t piece_length);

 private:
  std::vector<std::string> others(const Digest& digest) const;
  /// Copies there and from there keep to the limits of the process.
  api::OriginClient client_of(std::string host) const;
  Task<> duplicate_to(std::string host, std::string ns, storage::BlobPtr blob, Duration delay);
  Task<> transfer_to(std::string host, storage::BlobPtr blob);
  void note(const std::string& host, const Digest& digest, const Result<void>& sent) const;

  Services services_;
  const std::string self_;
  const Duration write_back_stagger_;
  Logger log_;
  Counter failures_;
  Histogram seconds_;
};

}  // namespace krakend::origin
