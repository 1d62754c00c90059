#pragma once

#include <deque>
#include <memory>
#include <unordered_map>

#include "krakend/core/digest.h"
#include "krakend/core/log.h"
#include "krakend/core/metainfo.h"
#include "krakend/core/metrics.h"
#include "krakend/core/time.h"
#include "krakend/io/disk.h"
#include "krakend/storage/blob_store.h"

namespace krakend::storage {

/// Small blobs that were fetched from where they can be had again: readable from memory at once, and put on
/// disk in the background (contract core-formats §17.3, backends-replication §18). What the blobs take is
/// bounded: room is reserved before the first byte and given back when the last reader is gone. Loop thread.
class MemoryCache {
 public:
  /// Bytes that are spoken for; gives them back.
  class Room {
   public:
    Room(std::shared_ptr<MemoryCache> cache, uint64_t size) : cache_(std::move(cache)), size_(size) {}
    Room(const Room&) = delete;
    Room& operator=(const Room&) = delete;
    ~Room() { cache_->give_back(size_); }

   private:
    std::shared_ptr<MemoryCache> cache_;
    uint64_t size_;
  };
  using RoomPtr = std::shared_ptr<Room>;

  struct Entry {
    Digest digest;
    io::FilePtr file;
    MetaInfo info;
    RoomPtr room;
    TimePoint added;
    unsigned failures = 0;  ///< to put it on disk
  };
  using EntryPtr = std::shared_ptr<Entry>;

  MemoryCache(MemoryCacheOptions options, const Metrics& metrics, Logger log);

  const MemoryCacheOptions& options() const { return options_; }
  /// Null when there is no room for `size` bytes.
  static RoomPtr reserve(const std::shared_ptr<MemoryCache>& cache, uint64_t size);
  /// Visible from now on, and queued for the disk.
  void insert(EntryPtr entry);
  /// Null when it is not in memory. Counts a hit or a miss.
  EntryPtr find(const Digest& digest);
  /// Not visible any more.
  void erase(const Digest& digest);
  /// The next one to put on disk; null when there is none.
  EntryPtr take_queued();
  /// The same for this blob: null too while somebody puts it on disk.
  EntryPtr take_queued(const Digest& digest);
  /// As find(), without counting.
  bool holds(const Digest& digest) const { return entries_.contains(digest); }
  /// It could not be put on disk: queued again, or given up.
  void failed(const EntryPtr& entry, const Error& error);
  /// Those older than the TTL are not visible any more.
  void expire(TimePoint now);

 private:
  void give_back(uint64_t size);
  void show_size() const { total_size_.set(static_cast<double>(used_)); }

  const MemoryCacheOptions options_;
  Logger log_;
  uint64_t used_ = 0;
  std::unordered_map<Digest, EntryPtr> entries_;
  std::deque<EntryPtr> queue_;
  Counter added_;
  Counter hits_;
  Counter misses_;
  Counter no_room_;
  Counter drain_errors_;
  Gauge total_size_;
};

}  // namespace krakend::storage
