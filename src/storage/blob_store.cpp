#include "krakend/storage/blob_store.h"

#include <algorithm>
#include <utility>

#include "krakend/core/hex.h"
#include "krakend/core/units.h"
#include "storage/access_time.h"
#include "storage/blob_state.h"
#include "storage/blob_store_impl.h"

namespace krakend::storage {

BlobStore::BlobStore(io::Loop& loop, io::Disk& disk, io::Random& random, StoreOptions options, Logger log,
                     const Metrics& metrics)
    : impl_(std::make_shared<Impl>(loop, disk, random, std::move(options), std::move(log), metrics)) {}
BlobStore::~BlobStore() {
  // Unfinished ones refer to the store.
  impl_->uploads.clear();
  impl_->kept.clear();
}

Result<void> BlobStore::open_directories() {
  const auto& o = impl_->options;
  auto& disk = impl_->disk;
  const auto unusable = [](const std::string& dir, const Error& error) {
    return fail(
        error.code,
        "data directory {} cannot be written ({}): fix its owner and mode or choose another --data-dir", dir,
        error.message);
  };
  if (auto opened = impl_->open_uploads(); !opened) return unusable(o.upload_dir, opened.error());
  for (const auto& dir : {o.cache_dir, o.download_dir, o.upload_dir}) {
    const auto probe = dir + "/.writable";
    auto usable = io::make_dirs_durably(disk, dir);
    if (usable) usable = io::write_file(disk, probe, "");
    if (usable) usable = disk.remove(probe);
    if (!usable) return unusable(dir, usable.error());
  }
  return impl_->volumes.link_shards(disk, impl_->log);
}

Task<Result<BlobPtr>> BlobStore::Impl::open(Digest digest) {
  const auto self = shared_from_this();
  recently_opened.insert(digest);
  if (const auto found = open_blobs.find(digest); found != open_blobs.end()) {
    if (auto blob = found->second.lock()) co_return blob;
  }
  if (const auto entry = memory->find(digest)) {
    co_return remember(
        std::make_shared<Blob::State>(self, digest, entry->file, entry->info.length(), true, entry->room));
  }
  const auto path = in_dir(cache_entry(digest), data_name);
  uint64_t size = 0;
  auto file = co_await loop.offload([&]() -> Result<io::FilePtr> {
    auto opened = disk.open(path, io::OpenMode::read);
    if (!opened) return opened;
    auto length = (*opened)->size();
    if (!length) return propagate(length);
    size = *length;
    return opened;
  });
  if (!file && file.error().code == Errc::not_found)
    co_return fail(Errc::not_found, "blob {} is not stored here", digest.str());
  if (!file) co_return propagate(file);
  const bool good = trusted.contains(digest);
  co_return remember(std::make_shared<Blob::State>(self, digest, *file, size, good));
}

BlobPtr BlobStore::Impl::remember(std::shared_ptr<Blob::State> state) {
  const Digest digest = state->digest;
  const BlobPtr blob(new Blob(std::move(state)));
  if (open_blobs.size() >= max_remembered_open) {
    std::erase_if(open_blobs, [](const auto& item) { return item.second.expired(); });
  }
  if (open_blobs.size() < max_remembered_open) open_blobs[digest] = blob;
  return blob;
}

Task<Result<BlobPtr>> BlobStore::open(Digest digest) {
  return impl_->open(digest);
}

Task<Result<uint64_t>> BlobStore::size(Digest digest) {
  const auto impl = impl_;
  if (const auto entry = impl->memory->find(digest)) co_return entry->info.length();
  const auto path = in_dir(impl->cache_entry(digest), data_name);
  auto stat = co_await impl->loop.offload([&] { return impl->disk.stat(path); });
  if (!stat) co_return propagate(stat);
  co_return stat->size;
}

Task<Result<MetaInfo>> BlobStore::metainfo(Digest digest) {
  const auto impl = impl_;
  if (const auto entry = impl->memory->find(digest)) co_return entry->info;
  const auto dir = impl->cache_entry(digest);
  co_return co_await impl->loop.offload([&]() -> Result<MetaInfo> {
    if (auto there = impl->disk.stat(in_dir(dir, data_name)); !there) return propagate(there);
    return read_metainfo(impl->disk, dir);
  });
}

Task<Result<MetaInfo>> BlobStore::make_metainfo(Digest digest, uint64_t piece_length) {
  const auto impl = impl_;
  if (piece_length == 0) co_return fail(Errc::invalid_argument, "piece length must be positive");
  if (auto flushed = co_await impl->flush(digest); !flushed) co_return propagate(flushed);
  auto blob = co_await impl->open(digest);
  if (!blob) co_return propagate(blob);
  const auto dir = impl->cache_entry(digest);
  auto made = co_await impl->loop.offload([&]() -> Result<MetaInfo> {
    PieceSummer summer(piece_length);
    Sha256 hash;
    std::vector<std::byte> buffer(MiB);
    const auto size = (*blob)->size();
    for (uint64_t at = 0; at < size;) {
      auto got = (*blob)->file()->read_at(at, buffer);
      if (!got) return propagate(got);
      if (*got == 0) return fail(Errc::io, "blob {} is shorter than its size", digest.str());
      summer.update(std::span(buffer).first(*got));
      hash.update(std::span(buffer).first(*got));
      at += *got;
    }
    if (hash.digest() != digest) return fail(Errc::corrupt, "its digest is another one");
    auto info = MetaInfo::make(digest, size, piece_length, summer.take());
    if (!info) return info;
    if (auto written = io::write_file_durably(impl->disk, in_dir(dir, metainfo_name), info->json());
        !written) {
      return propagate(written);
    }
    return info;
  });
  if (!made && made.error().code == Errc::corrupt) co_await impl->quarantine(digest, made.error().message);
  co_return made;
}

Task<Result<void>> BlobStore::remove(Digest digest) {
  const auto impl = impl_;
  const auto dir = impl->cache_entry(digest);
  const auto trash = impl->trash(digest, "trash");
  impl->open_blobs.erase(digest);
  impl->memory->erase(digest);
  co_return co_await impl->loop.offload([&]() -> Result<void> {
    if (auto there = impl->disk.stat(in_dir(dir, data_name)); !there) return propagate(there);
    if (auto flag = io::read_file(impl->disk, in_dir(dir, persist_name), 16); flag && says_persist(*flag)) {
      return fail(Errc::conflict, "blob {} is not written back yet", digest.str());
    }
    // One rename takes it away whole; what follows may be interrupted.
    if (auto moved = impl->disk.rename(dir, trash); !moved) return moved;
    return impl->disk.remove_all(trash);
  });
}

Task<Result<void>> BlobStore::set_persist(Digest digest, bool persist) {
  const auto impl = impl_;
  if (auto flushed = co_await impl->flush(digest); !flushed) co_return flushed;
  const auto dir = impl->cache_entry(digest);
  co_return co_await impl->loop.offload([&]() -> Result<void> {
    if (auto there = impl->disk.stat(in_dir(dir, data_name)); !there) return propagate(there);
    const auto path = in_dir(dir, persist_name);
    if (persist) {
      if (auto written = io::write_file_synced(impl->disk, path, "true"); !written) return written;
      return impl->disk.sync_dir(dir);
    }
    // Should a crash bring it back, the blob is written back once more, which does no harm.
    auto removed = impl->disk.remove(path);
    if (!removed && removed.error().code != Errc::not_found) return removed;
    return {};
  });
}

Task<Result<bool>> BlobStore::persist(Digest digest) {
  const auto impl = impl_;
  const auto path = in_dir(impl->cache_entry(digest), persist_name);
  auto flag = co_await impl->loop.offload([&] { return io::read_file(impl->disk, path, 16); });
  if (!flag && flag.error().code != Errc::not_found) co_return propagate(flag);
  co_return flag&& says_persist(*flag);
}

Task<Result<std::vector<Digest>>> BlobStore::list_persistent(unsigned shard) {
  const auto impl = impl_;
  co_return co_await impl->loop.offload([&]() -> Result<std::vector<Digest>> {
    auto digests = list_shard(impl->disk, impl->options.cache_dir, shard);
    if (!digests) return digests;
    std::erase_if(*digests, [&](const Digest& digest) {
      const auto flag = io::read_file(impl->disk, in_dir(impl->cache_entry(digest), persist_name), 16);
      return !flag || !says_persist(*flag);
    });
    return digests;
  });
}

Task<Result<std::vector<BlobEntry>>> BlobStore::scan(unsigned shard) {
  const auto impl = impl_;
  auto entries =
      co_await impl->loop.offload([&] { return scan_shard(impl->disk, impl->options.cache_dir, shard); });
  if (!entries) co_return entries;
  for (BlobEntry& entry : *entries) {
    if (impl->recently_opened.contains(entry.digest))
      entry.accessed = std::chrono::system_clock::time_point::max();
  }
  co_return entries;
}

Task<Result<std::vector<BlobEntry>>> BlobStore::scan_partials(unsigned shard) {
  const auto impl = impl_;
  co_return co_await impl->loop.offload(
      [&] { return scan_partial_shard(impl->disk, impl->options.download_dir, shard); });
}

Task<Result<void>> BlobStore::evict(Digest digest) {
  const auto open = impl_->open_blobs.find(digest);
  if (open != impl_->open_blobs.end() && !open->second.expired())
    co_return fail(Errc::conflict, "blob {} is open", digest.str());
  for (const EvictionGuard& guard : impl_->guards) {
    if (!guard(digest)) co_return fail(Errc::conflict, "blob {} is being served", digest.str());
  }
  co_return co_await remove(digest);
}

void BlobStore::set_room_maker(RoomMaker maker) {
  impl_->make_room = std::move(maker);
}

void BlobStore::add_eviction_guard(EvictionGuard guard) {
  impl_->guards.push_back(std::move(guard));
}

Task<> BlobStore::write_access_times(std::chrono::system_clock::time_point now) {
  const auto impl = impl_;
  const auto opened = std::exchange(impl->recently_opened, {});
  co_await impl->loop.offload([&] {
    for (const auto& digest : opened) {
      const auto path = in_dir(impl->cache_entry(digest), access_time_name);
      const auto old = io::read_file(impl->disk, path, 16);
      const auto written = old ? decode_access_time(*old) : std::nullopt;
      if (written && now - *written < Impl::access_step) continue;
      if (impl->disk.stat(in_dir(impl->cache_entry(digest), data_name)))
        (void)io::write_file(impl->disk, path, encode_access_time(now));
    }
  });
}

Task<Result<std::vector<Digest>>> BlobStore::list() {
  const auto impl = impl_;
  std::vector<Digest> all;
  for (unsigned shard = 0; shard < shards; ++shard) {
    auto part =
        co_await impl->loop.offload([&] { return list_shard(impl->disk, impl->options.cache_dir, shard); });
    if (!part) co_return part;
    all.insert(all.end(), part->begin(), part->end());
  }
  co_return all;
}

bool BlobStore::knows(const Digest& digest) const {
  return impl_->trusted.contains(digest) || impl_->open_blobs.contains(digest) ||
         impl_->memory->holds(digest);
}

std::vector<EvictionPlace> BlobStore::places() const {
  const StoreOptions& options = impl_->options;
  if (options.volumes.empty()) return {{options.cache_dir, [](const Digest&) { return true; }}};
  std::vector<EvictionPlace> places;
  for (size_t i = 0; i < options.volumes.size(); ++i) {
    places.push_back({options.volumes[i].location, [impl = impl_, i](const Digest& digest) {
                        return impl->volumes.index_of(digest.bytes()[0]) == i;
                      }});
  }
  return places;
}

std::string BlobStore::data_path(const Digest& digest) const {
  return in_dir(impl_->cache_entry(digest), data_name);
}

std::vector<KeptUpload> BlobStore::take_kept_uploads() {
  return std::exchange(impl_->kept, {});
}

UploadPtr BlobStore::find_upload(std::string_view id) const {
  const auto found = impl_->uploads.find(std::string(id));
  return found == impl_->uploads.end() ? nullptr : found->second;
}

Task<Result<MetaInfo>> BlobStore::partial_metainfo(Digest digest) {
  const auto impl = impl_;
  const auto dir = impl->download_entry(digest);
  co_return co_await impl->loop.offload([&] { return read_metainfo(impl->disk, dir); });
}

Task<Result<void>> BlobStore::remove_partial(Digest digest) {
  const auto impl = impl_;
  const auto dir = impl->download_entry(digest);
  co_return co_await impl->loop.offload([&] { return impl->disk.remove_all(dir); });
}

Task<Result<void>> BlobStore::evict_partial(Digest digest) {
  const auto held = impl_->partials.find(digest);
  if (held != impl_->partials.end() && !held->second.expired())
    co_return fail(Errc::conflict, "blob {} is being downloaded", digest.str());
  co_return co_await remove_partial(digest);
}

}  // namespace krakend::storage
