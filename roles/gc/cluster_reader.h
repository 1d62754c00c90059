#pragma once

#include <string>
#include <vector>

#include "krakend/api/clients.h"
#include "krakend/registry/registry.h"

namespace krakend::gc {

/// Manifests from the origins, into memory, and tags from the build-index. Read-only. Loop thread.
class ClusterReader final : public registry::Transfer {
 public:
  ClusterReader(api::OriginCluster& origins, api::TagClient& tags) : origins_(origins), tags_(tags) {}

  Task<Result<uint64_t>> stat(std::string repo, Digest digest) override;
  Task<Result<registry::OpenedBlob>> open(std::string repo, Digest digest) override;
  Task<Result<Digest>> get_tag(std::string repo, std::string tag) override;
  Task<Result<std::vector<std::string>>> list_tags(std::string repo) override;
  Task<Result<std::vector<std::string>>> list_all() override;

  bool writable() const override { return false; }
  Task<Result<void>> put_blob(std::string repo, Digest digest, storage::UploadPtr upload) override;
  Task<Result<void>> put_tag(std::string repo, std::string tag, Digest digest) override;
  Task<Result<storage::UploadPtr>> create_upload(std::string owner) override;
  Task<Result<void>> remove_tag(std::string repo, std::string tag) override;
  Task<Result<void>> remove_blob(std::string repo, Digest digest) override;

 private:
  api::OriginCluster& origins_;
  api::TagClient& tags_;
};

}  // namespace krakend::gc
