#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "krakend/api/services.h"
#include "krakend/backend/backend.h"
#include "krakend/cluster/hosts.h"
#include "krakend/p2p/engine.h"
#include "krakend/retry/retry_queue.h"
#include "krakend/storage/blob_store.h"
#include "roles/origin/ring_health.h"

namespace krakend::origin {

struct OriginOptions {
  io::Address listen;
  /// Own label on the ring: "<hostname>:<blobserver port>" or "<local ip>:<port>"; an empty ring is this one
  /// alone.
  std::string self;
  cluster::HostsOptions cluster;  ///< all of the ring, this one included; empty: this one alone
  unsigned max_replica = 3;       ///< hashring.max_replica
  RingHealthOptions health;
  /// metainfogen.piece_lengths: from this blob size on (bytes) → piece length (bytes). Small blobs are cut into
  /// small pieces, because a host passes on whole ones only.
  std::map<uint64_t, uint64_t> piece_lengths{{0, 1 * MiB}, {1024 * MiB, 4 * MiB}};
  std::string zone;
  std::string cluster_name;
  retry::RetryQueueOptions write_back{};
  /// The i-th other owner of a pushed blob waits i times this before it writes the blob back too.
  Duration write_back_stagger = 30min;
  /// A blob of more bytes is not fetched from its backend; 0: no limit.
  uint64_t refresh_size_limit = 0;
  p2p::EngineSelf p2p;
  p2p::EngineOptions scheduler = p2p::origin_engine_options();
};

/// Piece length for a blob of `size` bytes (contract core-formats §8).
uint64_t piece_length_for(const std::map<uint64_t, uint64_t>& piece_lengths, uint64_t size);

/// Stores what is pushed, seeds it, and gets it back from the backend when its own copy is gone (contract
/// http-api §4).
class Origin {
 public:
  /// `write_backs` holds what is still to be written back, over restarts.
  Origin(api::Services services, storage::BlobStore& store, backend::Backends& backends,
         retry::TaskTable& write_backs, OriginOptions options);
  ~Origin();
  struct Bound {
    io::Address http;
    io::Address p2p;
  };
  Result<Bound> start();
  /// What may change while it runs: the scheduler and the fixed members of the ring, `self` among them.
  void configure(const OriginOptions& options);
  /// Takes no more peers; the pieces that were asked for are still sent.
  void drain();
  Task<> drained(Duration limit);
  Task<> stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace krakend::origin
