#pragma once

#include <unordered_map>
#include <unordered_set>

#include "krakend/core/time.h"
#include "krakend/io/condition.h"
#include "storage/memory_cache.h"
#include "storage/store_layout.h"
#include "storage/sync_group.h"
#include "storage/volumes.h"

namespace krakend::storage {

/// Loop thread, but for `disk`, which the pool uses. Uploads and partial blobs hold it.
struct BlobStore::Impl : std::enable_shared_from_this<BlobStore::Impl> {
  /// Blobs whose open file is remembered, so that concurrent readers share one descriptor.
  static constexpr size_t max_remembered_open = 16'384;
  static constexpr size_t max_trusted = 200'000;
  /// Side files of access times are not written again for a smaller difference (contract core-formats §15).
  static constexpr Duration access_step = 5min;

  Impl(io::Loop& l, io::Disk& d, io::Random& r, StoreOptions o, Logger g, const Metrics& metrics)
      : loop(l),
        disk(d),
        random(r),
        options(std::move(o)),
        log(g.module("storage")),
        syncs(l, d, options.upload_dir, options.volumes.empty()),
        volumes(options.volumes, options.cache_dir),
        memory(std::make_shared<MemoryCache>(options.memory_cache, metrics, log)),
        memory_changed(l),
        damaged(metrics.counter({"blobs_damaged_total", "Blobs on disk that were not what they should be"})),
        leftovers(
            metrics.counter({"leftovers_removed_total", "Unfinished uploads and removals found at start"})) {}

  std::string cache_entry(const Digest& digest) const { return entry_dir(options.cache_dir, digest); }
  std::string download_entry(const Digest& digest) const { return entry_dir(options.download_dir, digest); }
  Task<Result<BlobPtr>> open(Digest digest);
  /// So that whoever opens it meanwhile shares it.
  BlobPtr remember(std::shared_ptr<Blob::State> state);
  /// publish_entry() of the blob. Pool.
  Result<void> publish(const std::string& from, const Digest& digest) {
    return publish_entry(disk, from, cache_entry(digest), volumes.incoming(digest.bytes()[0]));
  }
  /// Where an entry goes that is being removed: on its own file system, and emptied at start.
  std::string trash(const Digest& digest, std::string_view why) {
    const std::string near = volumes.incoming(digest.bytes()[0]);
    return in_dir(near.empty() ? options.upload_dir : near, fmt::format("{}-{}", why, random.uuid4()));
  }
  /// The same of an entry of which nothing is durable yet, together with others of this moment.
  Task<Result<void>> publish_together(io::FilePtr file, uint64_t size, std::string from, Digest digest);
  /// The bytes of this blob are known to be good: committed or checked by this process.
  void trust(const Digest& digest);
  /// Puts it on disk, or notes that it could not be; tells those who wait for it.
  Task<Result<void>> drain(MemoryCache::EntryPtr entry);
  /// already_exists is success.
  Task<Result<void>> put_on_disk(MemoryCache::EntryPtr entry);
  /// Whoever needs the blob on disk waits here for it.
  Task<Result<void>> flush(Digest digest);
  Task<> drain_worker(io::Clock& of);
  Task<Result<UploadPtr>> create_upload(std::string owner);
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
  SyncGroup syncs;
  /// By the first two bytes of a digest: the directory is there, and durable.
  std::vector<bool> durable_shards = std::vector<bool>(65'536);
  std::vector<EvictionGuard> guards;
  const Volumes volumes;
  std::shared_ptr<MemoryCache> memory;
  io::Clock* clock = nullptr;    ///< once drain_memory() runs
  io::Condition memory_changed;  ///< something is queued, or on disk
  Counter damaged;
  Counter leftovers;
  RoomMaker make_room;
  /// Opened since the last write_access_times().
  std::unordered_set<Digest> recently_opened;
  std::unordered_map<Digest, std::weak_ptr<PartialBlob>> partials;
};

}  // namespace krakend::storage
