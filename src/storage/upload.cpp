#include <algorithm>
#include <atomic>

#include "krakend/core/hex.h"
#include "krakend/core/units.h"
#include "storage/blob_state.h"
#include "storage/blob_store_impl.h"

namespace krakend::storage {
namespace {

/// While bytes arrive nobody knows how long the blob is, and so how long its pieces are: sums are taken of
/// parts that all usual piece lengths are multiples of.
constexpr uint64_t summed_at_a_time = 256 * KiB;
constexpr uint64_t piece_length_in_memory = 4 * MiB;
/// The disk begins to write what an upload has got in steps of this.
constexpr uint64_t sync_step = 8 * MiB;

}  // namespace

/// `hash`, `summer` and `hashed` belong to the pool while a writer is being fed, to the loop thread
/// otherwise.
struct Upload::State {
  State(std::shared_ptr<BlobStore::Impl> s, std::string d, io::FilePtr f)
      : store(std::move(s)), dir(std::move(d)), file(std::move(f)) {}

  /// Pool: brings hash and sums up to the end of the file, from the start when bytes behind them were
  /// rewritten, or when the sums are of parts that make no pieces of `piece_length` (0: none are wanted).
  Result<void> catch_up(uint64_t piece_length) {
    const bool fits = piece_length % summer.piece_length() == 0;
    if (stale || !fits) {
      hash = Sha256();
      summer = PieceSummer(piece_length == 0 ? summed_at_a_time : piece_length);
      hashed = 0;
      stale = false;
    }
    return read_from(hashed, [this](std::span<const std::byte> data) { feed(data); });
  }

  /// Pool: hands what was written from `offset` on to `take`, portion by portion.
  template <class Take>
  Result<void> read_from(uint64_t offset, Take take) {
    std::vector<std::byte> buffer(std::min<uint64_t>(MiB, size - std::min<uint64_t>(offset, size)));
    while (offset < size) {
      auto got = file->read_at(offset, buffer);
      if (!got) return propagate(got);
      if (*got == 0) return fail(Errc::io, "{} is shorter than what was written", dir);
      take(std::span<const std::byte>(buffer).first(*got));
      offset += *got;
    }
    return {};
  }

  void feed(std::span<const std::byte> data) {
    hash.update(data);
    summer.update(data);
    hashed += data.size();
  }

  std::shared_ptr<BlobStore::Impl> store;
  std::string dir;  ///< empty: in memory
  io::FilePtr file;
  MemoryCache::RoomPtr room;
  Result<void> verify(const Digest& expected, uint64_t piece_length);
  Result<void> write_side_files(const Digest& expected, uint64_t piece_length, bool persist);
  Task<Result<BlobPtr>> commit_in_memory(Digest expected, uint64_t piece_length);

  std::atomic<uint64_t> size{0};
  Sha256 hash;
  PieceSummer summer{summed_at_a_time};
  uint64_t hashed = 0;
  bool stale = false;
};

Upload::Upload(std::shared_ptr<State> state) : state_(std::move(state)) {}
Upload::~Upload() = default;
uint64_t Upload::size() const {
  return state_->size;
}

io::FilePtr Upload::file() const {
  return state_->file;
}

std::unique_ptr<io::ByteSink> Upload::writer(uint64_t offset) {
  class Writer final : public io::ByteSink {
   public:
    Writer(std::shared_ptr<State> state, uint64_t offset)
        : state_(std::move(state)), offset_(offset), begun_(offset) {}
    Result<void> write(std::span<const std::byte> data) override {
      if (auto written = write_and_hash(data); !written) return written;
      offset_ += data.size();
      if (offset_ > state_->size) state_->size = offset_;
      // The disk works while the rest arrives.
      if (offset_ - begun_ >= sync_step) {
        state_->file->begin_sync(begun_, offset_ - begun_);
        begun_ = offset_;
      }
      return {};
    }

   private:
    Result<void> write_and_hash(std::span<const std::byte> data) {
      const bool follows = offset_ == state_->hashed && !state_->stale;
      if (offset_ < state_->hashed) state_->stale = true;
      // Hashed first: the bytes are still in the processor's cache.
      if (follows) state_->feed(data);
      auto written = state_->file->write_at(offset_, data);
      if (!written) state_->stale = true;  // the sum may be ahead of the file
      return written;
    }

    std::shared_ptr<State> state_;
    uint64_t offset_;
    uint64_t begun_;  ///< the disk has been told of what lies before
  };
  return std::make_unique<Writer>(state_, offset);
}

Task<Result<Digest>> Upload::digest() {
  const auto state = state_;
  auto done = co_await state->store->loop.offload([&] { return state->catch_up(0); });
  if (!done) co_return propagate(done);
  co_return state->hash.digest();
}

Task<Result<ContentDigest>> Upload::sha512() {
  const auto state = state_;
  co_return co_await state->store->loop.offload([&]() -> Result<ContentDigest> {
    Sha512 sha;
    auto read = state->read_from(0, [&sha](std::span<const std::byte> data) { sha.update(data); });
    if (!read) return propagate(read);
    return sha.digest();
  });
}

Task<> Upload::discard() {
  const auto state = state_;
  state->store->uploads.erase(std::string(id_));
  if (state->room) co_return;
  co_await state->store->loop.offload([&] { (void)state->store->disk.remove_all(state->dir); });
}

/// Pool.
Result<void> Upload::State::verify(const Digest& expected, uint64_t piece_length) {
  if (auto done = catch_up(piece_length); !done) return done;
  const auto computed = hash.digest();
  if (computed == expected) return {};
  return fail(Errc::corrupt, "verify digest: computed digest {} doesn't match expected value {}",
              computed.str(), expected.str());
}

/// Pool: the files beside the data. Only the name of the flag has to last; what a crash does to the others is
/// noticed, and they are made again from the data.
Result<void> Upload::State::write_side_files(const Digest& expected, uint64_t piece_length, bool persist) {
  auto& disk = store->disk;
  if (piece_length != 0) {
    auto info = MetaInfo::make(expected, size, piece_length, summer.take(piece_length));
    if (!info) return propagate(info);
    if (auto done = io::write_file(disk, in_dir(dir, metainfo_name), info->json()); !done) return done;
  }
  if (persist) {
    if (auto done = io::write_file(disk, in_dir(dir, persist_name), "true"); !done) return done;
  }
  auto removed = disk.remove(in_dir(dir, owner_name));
  if (!removed && removed.error().code != Errc::not_found) return removed;
  return {};
}

Task<Result<BlobPtr>> Upload::State::commit_in_memory(Digest expected, uint64_t piece_length) {
  std::optional<MetaInfo> info;
  auto checked = co_await store->loop.offload([&]() -> Result<void> {
    if (auto good = verify(expected, piece_length); !good) return good;
    auto made = MetaInfo::make(expected, size, piece_length, summer.take(piece_length));
    if (!made) return propagate(made);
    info = std::move(*made);
    return {};
  });
  if (!checked) co_return propagate(checked);
  const auto entry = std::make_shared<MemoryCache::Entry>(
      MemoryCache::Entry{expected, file, std::move(*info), std::move(room),
                         store->clock == nullptr ? TimePoint{} : store->clock->now()});
  store->memory->insert(entry);
  store->memory_changed.notify_all();
  co_return co_await store->open(expected);
}

Task<Result<BlobPtr>> Upload::commit(Digest expected, uint64_t piece_length, bool persist) {
  const auto state = state_;
  const auto store = state->store;
  store->uploads.erase(std::string(id_));
  if (state->room) {
    // In memory the sums are always kept.
    const uint64_t length = piece_length == 0 ? piece_length_in_memory : piece_length;
    co_return co_await state->commit_in_memory(expected, length);
  }
  auto committed = co_await store->loop.offload([&]() -> Result<void> {
    if (auto good = state->verify(expected, piece_length); !good) return good;
    if (auto made = store->disk.make_dirs(io::parent_path(store->cache_entry(expected))); !made) return made;
    return state->write_side_files(expected, piece_length, persist);
  });
  // Before anybody can see the blob: whoever looks at it knows then that this process has stored it.
  if (committed) store->trust(expected);
  if (committed) committed = co_await store->publish_together(state->file, state->size, state->dir, expected);
  if (!committed) {
    co_await store->loop.offload([&] { (void)store->disk.remove_all(state->dir); });
    co_return propagate(committed);
  }
  co_return store->remember(std::make_shared<Blob::State>(store, expected, state->file, state->size, true));
}

/// Small ones share syncs; a large one must not hold up others with its bytes.
Task<Result<void>> BlobStore::Impl::publish_together(io::FilePtr file, uint64_t size, std::string from,
                                                     Digest digest) {
  constexpr uint64_t large = 4 * MiB;
  const auto self = shared_from_this();
  const std::string to = cache_entry(digest);
  const std::string shard = io::parent_path(to);
  const size_t shard_index = size_t{digest.bytes()[0]} * 256 + digest.bytes()[1];
  if (size >= large || !volumes.empty()) {
    co_return co_await loop.offload([&]() -> Result<void> {
      if (auto synced = file->sync(); !synced) return synced;
      return publish(from, digest);
    });
  }
  SyncGroup::Items entry;
  entry.files = {file};
  entry.directories = {from};
  if (!durable_shards[shard_index]) {
    entry.directories.push_back(io::parent_path(shard));
    entry.directories.push_back(options.cache_dir);
  }
  auto synced = co_await syncs.sync(std::move(entry));
  if (!synced) co_return synced;
  durable_shards[shard_index] = true;
  auto moved = co_await loop.offload([&] { return move_entry(disk, from, to); });
  if (!moved) co_return moved;
  SyncGroup::Items place;
  place.directories = {shard};
  co_return co_await syncs.sync(std::move(place));
}

Task<Result<UploadPtr>> BlobStore::create_upload(std::string owner) {
  return impl_->create_upload(std::move(owner));
}

Task<Result<UploadPtr>> BlobStore::create_memory_upload(uint64_t size) {
  const auto impl = impl_;
  auto room = MemoryCache::reserve(impl->memory, size);
  if (!room) co_return UploadPtr();
  auto file = co_await impl->loop.offload([&] { return impl->disk.make_memory_file(); });
  if (!file) co_return propagate(file);
  const UploadPtr upload(new Upload(std::make_shared<Upload::State>(impl, "", *file)));
  upload->state_->room = std::move(room);
  co_return upload;
}

Task<Result<UploadPtr>> BlobStore::Impl::create_upload(std::string owner) {
  const auto impl = shared_from_this();
  if (owner.size() > owner_size_max)
    co_return fail(Errc::invalid_argument, "the owner of an upload is too long");
  if (impl->uploads.size() >= impl->options.max_uploads) {
    co_return fail(Errc::unavailable, "{} uploads are open, which is the limit: try again later",
                   impl->uploads.size());
  }
  const auto id = impl->random.uuid4();
  const auto dir = in_dir(impl->options.upload_dir, id);
  auto file = co_await impl->loop.offload([&]() -> Result<io::FilePtr> {
    if (auto made = impl->disk.make_dirs(dir); !made) return propagate(made);
    if (!owner.empty()) {
      if (auto told = io::write_file(impl->disk, in_dir(dir, owner_name), owner); !told)
        return propagate(told);
    }
    return impl->disk.open(in_dir(dir, data_name), io::OpenMode::create_new);
  });
  if (!file) co_return propagate(file);
  const UploadPtr upload(new Upload(std::make_shared<Upload::State>(impl, dir, *file)));
  upload->id_ = id;
  impl->uploads[id] = upload;
  co_return upload;
}

Result<void> BlobStore::Impl::open_uploads() {
  auto names = disk.list(options.upload_dir);
  if (!names && names.error().code == Errc::not_found) return {};
  if (!names) return propagate(names);
  size_t removed = 0;
  for (const std::string& name : *names) {
    const auto dir = in_dir(options.upload_dir, name);
    if (!options.keep_owned_uploads) {
      if (auto wiped = disk.remove_all(dir); !wiped) return wiped;
      ++removed;
      continue;
    }
    auto owner = io::read_file(disk, in_dir(dir, owner_name), owner_size_max);
    auto file = disk.open(in_dir(dir, data_name), io::OpenMode::read_write);
    auto stat = disk.stat(in_dir(dir, data_name));
    if (!owner || owner->empty() || !file || !stat || uploads.size() >= options.max_uploads) {
      if (auto wiped = disk.remove_all(dir); !wiped) return wiped;
      ++removed;
      continue;
    }
    const UploadPtr upload(new Upload(std::make_shared<Upload::State>(shared_from_this(), dir, *file)));
    upload->id_ = name;
    upload->state_->size = stat->size;
    uploads[name] = upload;
    kept.push_back({upload, std::move(*owner), stat->modified});
  }
  leftovers.add(removed);
  if (removed > 0) log.info("{} unfinished uploads and removals of an earlier run are gone", removed);
  return {};
}

}  // namespace krakend::storage
