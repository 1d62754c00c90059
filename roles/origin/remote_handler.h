#pragma once

#include <string>

#include "krakend/core/log.h"
#include "krakend/http/client.h"
#include "krakend/http/server.h"
#include "krakend/io/clock.h"
#include "krakend/io/random.h"
#include "krakend/storage/blob_store.h"
#include "roles/origin/blob_refresher.h"
#include "roles/origin/leases.h"

namespace krakend::origin {

/// POST /namespace/{ns}/blobs/{digest}/remote/{remote}: copies a blob to another cluster (contract http-api
/// §4.10). Loop thread.
class RemoteHandler {
 public:
  struct Services {
    io::Loop& loop;
    io::Clock& clock;
    io::Random& random;
    http::Client& client;
    storage::BlobStore& store;
    BlobRefresher& refresher;
    Leases& leases;
  };
  RemoteHandler(Services services, Logger log) : services_(services), log_(std::move(log)) {}

  void add_routes(http::Router& router);

 private:
  Task<http::Response> replicate(http::Request& request);

  Services services_;
  Logger log_;
};

}  // namespace krakend::origin
