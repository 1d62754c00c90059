#pragma once

#include <memory>
#include <optional>

#include "storage/blob_store_impl.h"

namespace krakend::storage {

struct Blob::State {
  State(std::shared_ptr<BlobStore::Impl> s, Digest d, io::FilePtr f, uint64_t bytes, bool good)
      : store(std::move(s)), digest(d), file(std::move(f)), size(bytes), trusted(good) {}
  Result<void> load();
  Result<void> check_piece(PieceIndex index);

  const std::shared_ptr<BlobStore::Impl> store;
  const Digest digest;
  const io::FilePtr file;
  const uint64_t size;
  std::atomic<bool> trusted;
  std::optional<MetaInfo> sums;  ///< once loaded
  Bitfield checked{0};           ///< pieces
};

}  // namespace krakend::storage
