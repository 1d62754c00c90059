#include <algorithm>

#include "krakend/core/hex.h"
#include "krakend/storage/piece_check.h"
#include "storage/blob_store_impl.h"

namespace krakend::storage {

struct PartialBlob::State {
  std::shared_ptr<BlobStore::Impl> store;
  MetaInfo info;
  std::string dir;
  static constexpr uint64_t max_boot_id = 256;
  io::FilePtr data;
  io::FilePtr status;
  Bitfield have;

  /// Pool: writes the status byte of each piece, those of neighbours together.
  Result<void> write_status(std::vector<PieceIndex> pieces, char value) {
    std::sort(pieces.begin(), pieces.end());
    for (auto first = pieces.begin(); first != pieces.end();) {
      auto last = first + 1;
      while (last != pieces.end() && *last - *(last - 1) <= 1) ++last;
      const std::string run(*(last - 1) - *first + 1, value);
      if (auto done = status->write_at(*first, as_bytes(run)); !done) return done;
      first = last;
    }
    return {};
  }

  /// Pool: what an earlier run left, if it was cut the same way; otherwise everything anew.
  Result<void> open() {
    auto& disk = store->disk;
    auto old = read_metainfo(disk, dir);
    const bool same = old && old->info_hash() == info.info_hash();
    if (!same) {
      if (auto cleared = disk.remove_all(dir); !cleared) return cleared;
      if (auto made = disk.make_dirs(dir); !made) return made;
    }
    auto file = disk.open(in_dir(dir, data_name), io::OpenMode::create);
    if (!file) return propagate(file);
    data = *file;
    auto size = data->size();
    if (!size) return propagate(size);
    const bool whole = same && *size == info.length();
    if (auto reserved = data->allocate(info.length()); !reserved) return no_room(reserved.error());
    auto side = disk.open(in_dir(dir, status_name), io::OpenMode::create);
    if (!side) return propagate(side);
    status = *side;
    if (auto loaded = load_status(whole); !loaded) return loaded;
    if (auto checked = check_after_boot(); !checked) return checked;
    return io::write_file(disk, in_dir(dir, metainfo_name), info.json());
  }

  /// Pool. Neither bytes nor bitmap are synced while pieces arrive, so that nothing waits for the disk: after
  /// a power loss any of them may be missing. What another run of the machine has claimed is read once.
  Result<void> check_after_boot() {
    const auto path = in_dir(dir, boot_name);
    const auto& now = store->options.boot_id;
    const auto noted = io::read_file(store->disk, path, max_boot_id);
    const bool same = noted && !now.empty() && *noted == now;
    if (same) return {};
    if (have.count() > 0) {
      auto bad = find_bad_pieces(*data, info, have);
      if (!bad) return propagate(bad);
      for (const auto index : *bad) have.clear(index);
      if (!bad->empty())
        store->log.warn("blob {}: {} of its pieces did not reach the disk, they are fetched again",
                        info.digest().str(), bad->size());
      if (auto unmarked = write_status(*bad, piece_missing); !unmarked) return unmarked;
    }
    return io::write_file(store->disk, path, now);
  }

  Result<void> load_status(bool trusted) {
    std::string bytes(info.piece_count(), piece_missing);
    auto size = status->size();
    if (!size) return propagate(size);
    if (trusted && *size == bytes.size()) {
      if (auto got = status->read_at(0, std::as_writable_bytes(std::span<char>(bytes))); !got)
        return propagate(got);
    } else {
      if (auto cut = status->truncate(0); !cut) return cut;
      if (auto written = status->write_at(0, as_bytes(bytes)); !written) return written;
    }
    have = Bitfield(info.piece_count());
    for (PieceIndex index = 0; index < info.piece_count(); ++index) {
      if (bytes[index] == piece_complete) have.set(index);
    }
    return {};
  }

  Result<void> no_room(const Error& error) {
    data.reset();
    (void)store->disk.remove_all(dir);
    if (error.code != Errc::no_space) return fail(error);
    const auto space = store->disk.space(store->options.download_dir);
    return fail(Errc::no_space,
                "blob {} needs {} bytes in {} where {} are free: free some or choose another data "
                "directory",
                info.digest().str(), info.length(), store->options.download_dir,
                space ? space->available : 0);
  }
};

PartialBlob::PartialBlob(std::shared_ptr<State> state) : state_(std::move(state)) {}
PartialBlob::~PartialBlob() = default;
const MetaInfo& PartialBlob::metainfo() const {
  return state_->info;
}
const Bitfield& PartialBlob::have() const {
  return state_->have;
}
io::FilePtr PartialBlob::file() const {
  return state_->data;
}

Task<Result<void>> PartialBlob::mark(const std::vector<PieceIndex>& pieces) {
  const auto state = state_;
  const auto list = pieces;
  auto done = co_await state->store->loop.offload([&] { return state->write_status(list, piece_complete); });
  if (done) {
    for (const auto index : list) state->have.set(index);
  }
  co_return done;
}

Task<Result<void>> PartialBlob::unmark(const std::vector<PieceIndex>& pieces) {
  const auto state = state_;
  const auto list = pieces;
  for (const auto index : list) state->have.clear(index);
  co_return co_await state->store->loop.offload([&] { return state->write_status(list, piece_missing); });
}

Task<Result<BlobPtr>> PartialBlob::commit() {
  const auto state = state_;
  const auto store = state->store;
  const auto digest = state->info.digest();
  auto done = co_await store->loop.offload([&]() -> Result<void> {
    const std::string all(state->info.piece_count(), piece_complete);
    if (auto marked = state->status->write_at(0, as_bytes(all)); !marked) return marked;
    if (auto synced = state->data->sync(); !synced) return synced;
    if (auto synced = state->status->sync(); !synced) return synced;
    if (auto written =
            io::write_file_synced(store->disk, in_dir(state->dir, metainfo_name), state->info.json());
        !written) {
      return written;
    }
    (void)store->disk.remove(in_dir(state->dir, boot_name));
    auto moved = store->publish(state->dir, digest);
    if (!moved && moved.error().code == Errc::already_exists) return store->disk.remove_all(state->dir);
    return moved;
  });
  if (!done) co_return propagate(done);
  store->partials.erase(digest);
  store->trust(digest);
  co_return co_await store->open(digest);
}

Task<> PartialBlob::discard() {
  const auto state = state_;
  state->store->partials.erase(state->info.digest());
  co_await state->store->loop.offload([&] { (void)state->store->disk.remove_all(state->dir); });
}

Task<Result<PartialBlobPtr>> BlobStore::open_partial(const MetaInfo& info) {
  const auto impl = impl_;
  const auto wanted = info;
  if (const auto found = impl->partials.find(wanted.digest()); found != impl->partials.end()) {
    if (auto live = found->second.lock()) co_return live;
  }
  const auto state = std::make_shared<PartialBlob::State>();
  state->store = impl;
  state->info = wanted;
  state->dir = impl->download_entry(wanted.digest());
  const auto complete = in_dir(impl->cache_entry(wanted.digest()), data_name);
  const auto open = [&]() -> Result<void> {
    if (impl->disk.stat(complete))
      return fail(Errc::already_exists, "blob {} is complete", wanted.digest().str());
    return state->open();
  };
  auto opened = co_await impl->loop.offload(open);
  if (!opened && opened.error().code == Errc::no_space && impl->make_room) {
    const bool made = co_await impl->make_room(wanted.length());
    if (made) opened = co_await impl->loop.offload(open);
  }
  if (!opened) co_return propagate(opened);
  const PartialBlobPtr partial(new PartialBlob(state));
  impl->partials[wanted.digest()] = partial;
  co_return partial;
}

}  // namespace krakend::storage
