#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "krakend/api/collection.h"
#include "krakend/backend/backend.h"
#include "krakend/cluster/hosts.h"
#include "krakend/core/log.h"
#include "krakend/http/server.h"
#include "krakend/io/task_group.h"
#include "krakend/p2p/engine.h"
#include "krakend/storage/blob_store.h"
#include "roles/origin/blob_refresher.h"
#include "roles/origin/leases.h"
#include "roles/origin/write_back.h"

namespace krakend::origin {

/// This origin's part of a garbage collection (api/collection.h). Loop thread.
class CollectionHandler {
 public:
  struct Services {
    io::Loop& loop;
    io::TaskGroup& tasks;
    storage::BlobStore& store;
    const BlobRefresher& refresher;
    const backend::Backends& backends;
    p2p::Engine& engine;
    const cluster::HashRing& ring;
    Leases& leases;
    WriteBack& write_back;
  };
  CollectionHandler(Services services, Logger log) : services_(services), log_(std::move(log)) {}

  void add_routes(http::Router& router);

 private:
  Task<http::Response> blobs(http::Request& request);
  Task<http::Response> freeze(http::Request& request);
  Task<http::Response> sweep(http::Request& request);
  Task<http::Response> release(http::Request& request);

  /// Bytes removed, or why not.
  using Act = std::function<Task<Result<uint64_t>>(const api::CollectionRequest&, Digest)>;
  struct Work;
  static Task<> act_on(std::shared_ptr<Work> work, size_t index);
  /// Acts on every digest of the request, some at a time.
  Task<http::Response> for_each(http::Request& request, Act act);
  Task<Result<uint64_t>> freeze_one(const api::CollectionRequest& request, Digest digest);
  Task<Result<uint64_t>> sweep_one(const api::CollectionRequest& request, Digest digest);
  Task<Result<uint64_t>> release_one(Digest digest);
  Task<Result<uint64_t>> size_of(const api::CollectionRequest& request, Digest digest);

  Services services_;
  Logger log_;
};

}  // namespace krakend::origin
