#include <utility>

#include "krakend/core/units.h"
#include "storage/blob_store_impl.h"

namespace krakend::storage {

Task<Result<void>> BlobStore::Impl::drain(MemoryCache::EntryPtr entry) {
  const auto self = shared_from_this();
  auto written = co_await put_on_disk(entry);
  if (written)
    memory->erase(entry->digest);
  else
    memory->failed(entry, written.error());
  memory_changed.notify_all();
  co_return written;
}

Task<Result<void>> BlobStore::Impl::put_on_disk(MemoryCache::EntryPtr entry) {
  std::string nobody;
  auto upload = co_await create_upload(std::move(nobody));
  if (!upload) co_return propagate(upload);
  const auto writer = (*upload)->writer(0);
  auto copied = co_await loop.offload([&]() -> Result<void> {
    std::vector<std::byte> buffer(256 * KiB);
    for (uint64_t at = 0; at < entry->info.length();) {
      auto got = entry->file->read_at(at, buffer);
      if (!got) return propagate(got);
      if (*got == 0) return fail(Errc::io, "the copy in memory is too short");
      if (auto written = writer->write(std::span(buffer).first(*got)); !written) return written;
      at += *got;
    }
    return {};
  });
  if (!copied) {
    co_await (*upload)->discard();
    co_return copied;
  }
  auto committed = co_await (*upload)->commit(entry->digest, entry->info.piece_length());
  if (!committed && committed.error().code != Errc::already_exists) co_return propagate(committed);
  co_return Result<void>{};
}

Task<Result<void>> BlobStore::Impl::flush(Digest digest) {
  const auto self = shared_from_this();
  while (memory->holds(digest)) {
    const auto entry = memory->take_queued(digest);
    if (!entry) {  // somebody else is at it
      co_await memory_changed.wait();
      continue;
    }
    auto drained = co_await drain(entry);
    if (!drained) co_return drained;
  }
  co_return Result<void>{};
}

Task<> BlobStore::Impl::drain_worker(io::Clock& of) {
  const auto self = shared_from_this();
  constexpr Duration retry_pause = 100ms;
  for (;;) {
    const auto entry = memory->take_queued();
    if (!entry) {
      co_await memory_changed.wait();
      continue;
    }
    auto drained = co_await drain(entry);
    if (!drained) co_await of.sleep(retry_pause);
  }
}

Task<> BlobStore::drain_memory(io::Clock& clock, io::TaskGroup& tasks) {
  const auto impl = impl_;
  const MemoryCacheOptions& options = impl->memory->options();
  if (!options.enabled) co_return;
  impl->clock = &clock;
  for (unsigned i = 0; i < std::max(options.drain_workers, 1U); ++i)
    tasks.spawn(impl->drain_worker(clock), "memory cache");
  for (;;) {
    co_await clock.sleep(options.ttl_interval);
    impl->memory->expire(clock.now());
  }
}

}  // namespace krakend::storage
