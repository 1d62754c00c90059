#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "krakend/backend/backend.h"
#include "krakend/cluster/hosts.h"
#include "krakend/core/log.h"
#include "krakend/http/server.h"
#include "krakend/p2p/engine.h"
#include "krakend/storage/blob_store.h"
#include "roles/origin/blob_refresher.h"
#include "roles/origin/leases.h"
#include "roles/origin/write_back.h"

namespace krakend::origin {

/// Reading, looking up and deleting blobs (contract http-api §4.2–§4.6, §4.11, §4.12). Loop thread.
class BlobHandler {
 public:
  struct Services {
    storage::BlobStore& store;
    BlobRefresher& refresher;
    const backend::Backends& backends;
    p2p::Engine& engine;
    const cluster::HashRing& ring;
    Leases& leases;
    WriteBack& write_back;
  };
  BlobHandler(Services services, std::map<uint64_t, uint64_t> piece_lengths, Logger log);

  void add_routes(http::Router& router);

 private:
  Task<http::Response> locations(http::Request& request);
  Task<http::Response> stat(http::Request& request);
  Task<http::Response> download(http::Request& request);
  Task<http::Response> prefetch(http::Request& request);
  Task<http::Response> metainfo(http::Request& request);
  Task<http::Response> overwrite_metainfo(http::Request& request);
  Task<http::Response> remove(http::Request& request);
  Task<http::Response> erase(http::Request& request);

  Task<Result<storage::BlobPtr>> open_or_refresh(std::string ns, Digest digest);
  Task<Result<MetaInfo>> local_metainfo(Digest digest);

  Services services_;
  const std::map<uint64_t, uint64_t> piece_lengths_;
  Logger log_;
};

}  // namespace krakend::origin
