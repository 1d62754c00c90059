#include "storage/memory_cache.h"

#include <algorithm>
#include <utility>

namespace krakend::storage {

MemoryCache::MemoryCache(MemoryCacheOptions options, const Metrics& metrics, Logger log)
    : options_(options),
      log_(std::move(log)),
      added_(metrics.counter({"memory_cache_entries_added_total", "Blobs put into the memory cache",
                              "blob_memory_cache.entries_added"})),
      hits_(metrics.counter(
          {"memory_cache_hits_total", "Lookups that found the blob in memory", "blob_memory_cache.get_hit"})),
      misses_(metrics.counter({"memory_cache_misses_total", "Lookups that did not find the blob in memory",
                               "blob_memory_cache.get_miss"})),
      no_room_(metrics.counter({"memory_cache_reserve_failures_total",
                                "Blobs for which the memory cache had no room",
                                "blob_memory_cache.reserve_failure"})),
      drain_errors_(metrics.counter(
          {"memory_cache_drain_errors_total", "Blobs that could not be put on disk", "drain_error"})),
      total_size_(metrics.gauge({"memory_cache_bytes", "Bytes that the memory cache holds",
                                 "blob_memory_cache.total_size_bytes"})) {}

MemoryCache::RoomPtr MemoryCache::reserve(const std::shared_ptr<MemoryCache>& cache, uint64_t size) {
  if (!cache->options_.enabled) return nullptr;
  if (size > cache->options_.max_size || cache->used_ > cache->options_.max_size - size) {
    cache->no_room_.add();
    return nullptr;
  }
  cache->used_ += size;
  cache->show_size();
  return std::make_shared<Room>(cache, size);
}

void MemoryCache::give_back(uint64_t size) {
  used_ -= size;
  show_size();
}

void MemoryCache::insert(EntryPtr entry) {
  added_.add();
  queue_.push_back(entry);
  entries_[entry->digest] = std::move(entry);
}

MemoryCache::EntryPtr MemoryCache::find(const Digest& digest) {
  if (!options_.enabled) return nullptr;
  const auto found = entries_.find(digest);
  const bool hit = found != entries_.end();
  (hit ? hits_ : misses_).add();
  return hit ? found->second : nullptr;
}

void MemoryCache::erase(const Digest& digest) {
  entries_.erase(digest);
  std::erase_if(queue_, [&digest](const EntryPtr& entry) { return entry->digest == digest; });
}

MemoryCache::EntryPtr MemoryCache::take_queued() {
  if (queue_.empty()) return nullptr;
  const EntryPtr entry = queue_.front();
  queue_.pop_front();
  return entry;
}

MemoryCache::EntryPtr MemoryCache::take_queued(const Digest& digest) {
  const auto found = std::find_if(queue_.begin(), queue_.end(),
                                  [&digest](const EntryPtr& entry) { return entry->digest == digest; });
  if (found == queue_.end()) return nullptr;
  const EntryPtr entry = *found;
  queue_.erase(found);
  return entry;
}

void MemoryCache::failed(const EntryPtr& entry, const Error& error) {
  if (++entry->failures <= options_.drain_max_retries) {
    queue_.push_back(entry);
    return;
  }
  drain_errors_.add();
  log_.warn("blob {} leaves the memory cache, it cannot be put on disk: {}", entry->digest.str(),
            error.message);
  entries_.erase(entry->digest);
}

void MemoryCache::expire(TimePoint now) {
  std::erase_if(entries_, [&](const auto& item) { return now - item.second->added > options_.ttl; });
}

}  // namespace krakend::storage
