#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "krakend/api/services.h"
#include "krakend/cluster/hosts.h"
#include "krakend/registry/registry.h"
#include "krakend/storage/blob_store.h"

namespace krakend::proxy {

/// Blobs of other sizes are left out when an image is prefetched. Bytes.
struct PrefetchOptions {
  uint64_t blob_size_min = 0;
  uint64_t blob_size_max = 50 * GiB;
};

struct ProxyOptions {
  std::vector<io::Address> listen;  ///< one per --port
  /// For registries that send notifications: in the clear, without address list and rate limit (contract
  /// http-api §8.2).
  std::optional<io::Address> server_listen;
  cluster::HostsOptions origins;
  cluster::HostsOptions build_indexes;
  registry::RegistryOptions registry;
  PrefetchOptions prefetch;
  /// The store is the proxy's alone, so that it holds copies; in one process with an origin it holds the
  /// originals.
  bool has_copies = true;
  /// Piece length for a blob of so many bytes. In one process with an origin it must be the origin's: the
  /// store, and with it the metainfo, is shared.
  std::function<uint64_t(uint64_t)> piece_length = [](uint64_t) { return 4 * MiB; };
};

/// The registry that clients push to; also serves pulls from the origins (contract http-api §8, §9).
class Proxy {
 public:
  Proxy(api::Services services, storage::BlobStore& store, ProxyOptions options);
  ~Proxy();
  Result<std::vector<io::Address>> start();
  /// What may change while it runs: the limits of uploads, the sizes of what is prefetched and the fixed host
  /// lists.
  void configure(const ProxyOptions& options);
  Task<> stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace krakend::proxy
