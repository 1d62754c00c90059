#pragma once

#include <memory>
#include <optional>

#include "storage/blob_store_impl.h"

namespace krakend::storage {

/// Loop thread; what is const here is also used on the pool. A coroutine that uses it keeps it alive.
struct Blob::State {
  State(std::shared_ptr<BlobStore::Impl> s, Digest d, io::FilePtr f, uint64_t bytes, bool good,
        MemoryCache::RoomPtr r = nullptr)
      : store(std::move(s)), digest(d), file(std::move(f)), size(bytes), room(std::move(r)), trusted(good) {}

  Result<std::optional<MetaInfo>> load() const;
  /// Pool; `sums` are there.
  Result<void> check_piece(PieceIndex index) const;
  /// Afterwards it is trusted, or there are sums.
  Task<Result<void>> prepare();
  void trust();

  const std::shared_ptr<BlobStore::Impl> store;
  const Digest digest;
  const io::FilePtr file;
  const uint64_t size;
  const MemoryCache::RoomPtr room;  ///< of a blob in memory
  bool trusted;
  std::optional<MetaInfo> sums;  ///< set once
  Bitfield checked;              ///< pieces
};

}  // namespace krakend::storage
