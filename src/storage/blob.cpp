#include <optional>

#include "krakend/core/hash.h"
#include "storage/blob_state.h"
#include "storage/blob_store_impl.h"

namespace krakend::storage {
namespace {

constexpr size_t read_size = 256 * 1024;

/// Hands `length` bytes from `offset` on to `take`. Pool.
template <class Take>
Result<void> read_range(io::File& file, uint64_t offset, uint64_t length, Take take) {
  std::vector<std::byte> buffer(std::min<uint64_t>(read_size, std::max<uint64_t>(length, 1)));
  while (length > 0) {
    const auto part = std::span(buffer).first(std::min<uint64_t>(buffer.size(), length));
    auto got = file.read_at(offset, part);
    if (!got) return propagate(got);
    if (*got == 0) return fail(Errc::corrupt, "it ends at byte {}", offset);
    take(std::span<const std::byte>(part).first(*got));
    offset += *got;
    length -= *got;
  }
  return {};
}

}  // namespace

Blob::Blob(std::shared_ptr<State> state) : state_(std::move(state)) {}
Blob::~Blob() = default;
const Digest& Blob::digest() const {
  return state_->digest;
}
uint64_t Blob::size() const {
  return state_->size;
}
io::FilePtr Blob::file() const {
  return state_->file;
}

/// Pool: the sums to check against; nullopt when there are no usable ones, but the blob's SHA-256 is right.
Result<std::optional<MetaInfo>> Blob::State::load() const {
  auto info = read_metainfo(store->disk, store->cache_entry(digest));
  if (info && info->length() == size && info->digest() == digest) return std::optional(std::move(*info));
  if (info && info->length() != size)
    return fail(Errc::corrupt, "it has {} of {} bytes", size, info->length());
  Sha256 hash;
  auto read = read_range(*file, 0, size, [&hash](std::span<const std::byte> data) { hash.update(data); });
  if (!read) return propagate(read);
  if (hash.digest() != digest) return fail(Errc::corrupt, "its digest is another one");
  return std::optional<MetaInfo>();
}

/// Pool.
Result<void> Blob::State::check_piece(PieceIndex index) const {
  uint32_t sum = 0;
  auto read = read_range(*file, sums->piece_offset(index), sums->piece_size(index),
                         [&sum](std::span<const std::byte> data) { sum = crc32(sum, data); });
  if (!read) return read;
  if (sum != sums->piece_sum(index))
    return fail(Errc::corrupt, "piece {} of {} is not what it was", index, sums->piece_count());
  return {};
}

Task<Result<uint64_t>> Blob::ready(uint64_t offset) {
  const auto state = state_;
  auto good = co_await state->prepare();
  if (good && (state->trusted || offset >= state->size)) co_return state->size;
  if (good) {
    const auto index = static_cast<PieceIndex>(offset / state->sums->piece_length());
    if (!state->checked.test(index))
      good = co_await state->store->loop.offload([&] { return state->check_piece(index); });
    if (good) {
      state->checked.set(index);
      if (state->checked.all()) state->trust();
      co_return state->trusted ? state->size
                               : state->sums->piece_offset(index) + state->sums->piece_size(index);
    }
  }
  if (good.error().code == Errc::corrupt) {
    co_await state->store->quarantine(state->digest, good.error().message);
    co_return fail(Errc::corrupt, "blob {} is damaged: {}", state->digest.str(), good.error().message);
  }
  co_return propagate(good);
}

Task<Result<void>> Blob::State::prepare() {
  if (trusted || sums) co_return Result<void>{};
  auto loaded = co_await store->loop.offload([&] { return load(); });
  if (!loaded) co_return propagate(loaded);
  if (trusted || sums) co_return Result<void>{};  // another reader was faster
  if (*loaded) {
    checked = Bitfield((*loaded)->piece_count());
    sums = std::move(*loaded);
  } else {
    trust();
  }
  co_return Result<void>{};
}

void Blob::State::trust() {
  trusted = true;
  store->trust(digest);
}

Task<Result<void>> Blob::check() {
  return io::await_ready(*this, 0, size());
}

void BlobStore::Impl::trust(const Digest& digest) {
  if (trusted.size() >= max_trusted) trusted.clear();
  trusted.insert(digest);
}

Task<> BlobStore::Impl::quarantine(Digest digest, std::string what) {
  const auto self = shared_from_this();
  log.error("blob {} is damaged on disk ({}): removed, to be fetched anew", digest.str(), what);
  damaged.add();
  open_blobs.erase(digest);
  trusted.erase(digest);
  const auto dir = cache_entry(digest);
  const auto trash = this->trash(digest, "damaged");
  co_await loop.offload([&] {
    if (auto moved = disk.rename(dir, trash)) (void)disk.remove_all(trash);
  });
}

}  // namespace krakend::storage
