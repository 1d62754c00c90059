#pragma once

#include <string>
#include <vector>

#include "krakend/api/clients.h"
#include "krakend/registry/registry.h"

namespace krakend::gc {

/// Larger documents count as no manifests.
inline constexpr uint64_t manifest_size_max = 32 * MiB;

/// Manifests from the origins, into memory, and tags from the build-index. Read-only. Loop thread.
class ClusterReader final : public registry::ReadOnlyTransfer {
 public:
  ClusterReader(api::OriginCluster& origins, api::TagClient& tags)
      : ReadOnlyTransfer("the garbage collector only reads here"), origins_(origins), tags_(tags) {}

  Task<Result<uint64_t>> stat(std::string repo, Digest digest) override;
  Task<Result<registry::OpenedBlob>> open(std::string repo, Digest digest) override;
  Task<Result<Digest>> get_tag(std::string repo, std::string tag) override;
  Task<Result<std::vector<std::string>>> list_names(std::string prefix) override;

 private:
  api::OriginCluster& origins_;
  api::TagClient& tags_;
};

}  // namespace krakend::gc
