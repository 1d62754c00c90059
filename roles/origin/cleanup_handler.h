#pragma once

#include <string>
#include <vector>

#include "krakend/cluster/hosts.h"
#include "krakend/core/log.h"
#include "krakend/http/server.h"
#include "krakend/io/clock.h"
#include "krakend/p2p/engine.h"
#include "krakend/storage/blob_store.h"
#include "roles/origin/write_back.h"

namespace krakend::origin {

/// POST /forcecleanup?ttl_hr=N for operators (contract http-api §4.14): removes what is older than that from
/// the cache, or not owned by this origin, after it was written back. Loop thread.
class CleanupHandler {
 public:
  struct Services {
    io::Clock& clock;
    storage::BlobStore& store;
    p2p::Engine& engine;
    const cluster::HashRing& ring;
    WriteBack& write_back;
  };
  CleanupHandler(Services services, std::string self, Logger log)
      : services_(services), self_(std::move(self)), log_(std::move(log)) {}

  void add_routes(http::Router& router);

 private:
  Task<http::Response> cleanup(http::Request& request);
  Task<http::Response> cleanup_v2(http::Request& request);
  Task<Result<void>> remove(Digest digest);

  Services services_;
  const std::string self_;
  Logger log_;
};

}  // namespace krakend::origin
