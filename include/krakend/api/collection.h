#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "krakend/core/digest.h"
#include "krakend/core/result.h"
#include "krakend/core/time.h"
#include "krakend/http/client.h"

namespace krakend::api {

// What the garbage collector and the origins say to each other, krakend's own:
//   GET  /x/gc/blobs?namespace=<ns>&backend=<bool>  -> BlobInventory
//   POST /x/gc/freeze | /x/gc/sweep | /x/gc/release    CollectionRequest -> CollectionAnswer
// A blob is frozen at every origin, then swept from the cache of every origin, then from the backend by one
// of them, then released. Frozen blobs thaw by themselves when the collector is gone (origin/leases.h).

/// Blobs of one origin.
struct BlobInventory {
  /// Labels of all origins of its ring.
  std::vector<std::string> cluster;
  std::vector<Digest> cached;
  /// In the backend of the namespace; empty unless asked for.
  std::vector<Digest> stored;

  std::string json() const;
  static Result<BlobInventory> parse(std::string_view json);
};

struct CollectionRequest {
  std::string ns;
  std::vector<Digest> digests;
  /// Freeze: only what nobody has used for so long.
  Duration unused_for{0};
  /// Freeze: say what would be frozen, and leave it.
  bool dry_run = false;
  /// Freeze: sizes from the backend where the cache has none. Sweep: the backend instead of the cache.
  bool backend = false;

  std::string json() const;
  static Result<CollectionRequest> parse(std::string_view json);
};

struct CollectionAnswer {
  /// Bytes of each; 0 where this origin does not have it.
  std::map<Digest, uint64_t> done;
  /// Why not.
  std::map<Digest, std::string> refused;

  std::string json() const;
  static Result<CollectionAnswer> parse(std::string_view json);
};

/// The calls of the collector to one origin.
class CollectionClient {
 public:
  CollectionClient(http::Client& client, std::string host) : client_(client), host_(std::move(host)) {}
  const std::string& host() const { return host_; }
  Task<Result<BlobInventory>> inventory(std::string ns, bool backend);
  Task<Result<CollectionAnswer>> freeze(CollectionRequest request) {
    return send("freeze", std::move(request));
  }
  Task<Result<CollectionAnswer>> sweep(CollectionRequest request) {
    return send("sweep", std::move(request));
  }
  Task<Result<CollectionAnswer>> release(CollectionRequest request) {
    return send("release", std::move(request));
  }

 private:
  Task<Result<CollectionAnswer>> send(std::string what, CollectionRequest request);

  http::Client& client_;
  std::string host_;
};

}  // namespace krakend::api
