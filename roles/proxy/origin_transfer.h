#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include "krakend/api/clients.h"
#include "krakend/core/log.h"
#include "krakend/registry/registry.h"
#include "krakend/storage/blob_store.h"
#include "roles/proxy/downloads.h"
#include "roles/proxy/transfer_counters.h"

namespace krakend::proxy {

/// The proxy's registry keeps blobs at the origins, with the local store as a cache in front, and tags at the
/// build-index. Loop thread.
class OriginTransfer final : public registry::Transfer {
 public:
  struct Parts {
    storage::BlobStore& store;
    api::OriginCluster& origins;
    api::TagClient& tags;
    Downloads& downloads;
    io::Clock& clock;
    const Metrics& metrics;
  };
  OriginTransfer(Parts parts, PieceLengthFn piece_length, Logger log)
      : store_(parts.store),
        origins_(parts.origins),
        tags_(parts.tags),
        downloads_(parts.downloads),
        clock_(parts.clock),
        counters_(parts.metrics),
        piece_length_(std::move(piece_length)),
        log_(std::move(log)) {}

  /// The origins decide what the registry has: a copy that is only here, left by a push that broke off, must
  /// not let the next push skip the blob. The local copy answers when no origin does.
  Task<Result<uint64_t>> stat(std::string repo, Digest digest) override;
  Task<Result<registry::OpenedBlob>> open(std::string repo, Digest digest) override;
  Task<Result<Digest>> get_tag(std::string repo, std::string tag) override;
  Task<Result<std::vector<std::string>>> list_names(std::string prefix) override;

  bool writable() const override { return true; }
  Task<Result<void>> put_blob(std::string repo, Digest digest, storage::UploadPtr upload) override;
  Task<Result<void>> put_tag(std::string repo, std::string tag, Digest digest) override;
  Task<Result<storage::UploadPtr>> create_upload(std::string owner) override {
    return store_.create_upload(std::move(owner));
  }
  Task<Result<void>> remove_tag(std::string repo, std::string tag) override;
  Task<Result<void>> remove_blob(std::string repo, Digest digest) override;
  /// Removes the local copy; success when there is none.
  Task<Result<void>> drop_copy(Digest digest);

 private:
  struct Stored {
    storage::BlobPtr blob;
    bool created = false;  ///< by this push; otherwise it was there before
  };
  Task<Result<Stored>> store_locally(Digest digest, storage::UploadPtr upload);
  Task<Result<void>> give_to_origins(std::string repo, Digest digest, storage::UploadPtr upload);

  storage::BlobStore& store_;
  api::OriginCluster& origins_;
  api::TagClient& tags_;
  Downloads& downloads_;
  io::Clock& clock_;
  TransferCounters counters_;
  PieceLengthFn piece_length_;
  Logger log_;
};

}  // namespace krakend::proxy
