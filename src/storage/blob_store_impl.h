#pragma once

#include <unordered_map>
#include <unordered_set>

#include "krakend/core/time.h"
#include "storage/store_layout.h"

namespace krakend::storage {

/// Loop thread, but for `disk`, which the pool uses. Uploads and partial blobs hold it.
struct BlobStore::Impl : std::enable_shared_from_this<BlobStore::Impl> {
  /// Blobs whose open file is remembered, so that concurrent readers share one descriptor.
  static constexpr size_t max_remembered_open = 16'384;
  static constexpr size_t max_trusted = 200'000;
  /// Side files of access times are not written again for a smaller difference (contract core-formats §15).
  static constexpr Duration access_step = 5min;

  Impl(io::Loop& l, io::Disk& d, io::Random& r, StoreOptions o, Logger g)
      : loop(l), disk(d), random(r), options(std::move(o)), log(g.module("storage")) {}

  std::string cache_entry(const Digest& digest) const { return entry_dir(options.cache_dir, digest); }
  std::string download_entry(const Digest& digest) const { return entry_dir(options.download_dir, digest); }
  Task<Result<BlobPtr>> open(Digest digest);
  /// The bytes of this blob are known to be good: committed or checked by this process.
  void trust(const Digest& digest);
  /// Takes a damaged blob out of the store.
  Task<> quarantine(Digest digest, std::string what);
  /// Blocks: before the loop runs.
  Result<void> open_uploads();

  io::Loop& loop;
  io::Disk& disk;
  io::Random& random;
  StoreOptions options;
  Logger log;
  std::unordered_map<Digest, std::weak_ptr<Blob>> open_blobs;
  std::unordered_map<std::string, UploadPtr> uploads;  ///< until committed or discarded
  std::vector<KeptUpload> kept;
  std::unordered_set<Digest> trusted;
  std::vector<EvictionGuard> guards;
  RoomMaker make_room;
  /// Opened since the last write_access_times().
  std::unordered_set<Digest> recently_opened;
  std::unordered_map<Digest, std::weak_ptr<PartialBlob>> partials;
};

}  // namespace krakend::storage
