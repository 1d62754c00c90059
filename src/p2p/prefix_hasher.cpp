#include "p2p/prefix_hasher.h"

#include <algorithm>

namespace krakend::p2p {
namespace {

/// Feeds [offset, end) of the file to `fn` in buffer-sized parts.
template <class Fn>
Result<void> read_range(io::File& file, uint64_t offset, uint64_t end, size_t buffer_size, Fn fn) {
  std::vector<std::byte> buffer(std::min<uint64_t>(buffer_size, end - offset));
  while (offset < end) {
    const auto want = static_cast<size_t>(std::min<uint64_t>(buffer.size(), end - offset));
    auto got = file.read_at(offset, std::span(buffer).first(want));
    if (!got) return propagate(got);
    if (*got == 0) return fail(Errc::io, "file ends at {} of {} bytes", offset, end);
    fn(std::span<const std::byte>(buffer).first(*got));
    offset += *got;
  }
  return {};
}

}  // namespace

Task<Result<void>> PrefixHasher::advance(uint64_t end) {
  const auto stop = std::min(end, position_ + step_size);
  busy_ = true;
  auto done = co_await loop_.offload([this, stop] {
    return read_range(*file_, position_, stop, buffer_size, [this](auto part) { sha_.update(part); });
  });
  busy_ = false;
  if (done) position_ = stop;
  co_return done;
}

void PrefixHasher::restart() {
  sha_ = Sha256();
  position_ = 0;
}

std::unique_ptr<PrefixHasher::Tap> PrefixHasher::lend(uint64_t offset) {
  if (busy_ || offset != position_) return nullptr;
  busy_ = true;
  return std::make_unique<Tap>(sha_);
}

void PrefixHasher::adopt(Tap& tap) {
  sha_ = std::move(tap.sha_);
  position_ += tap.size_;
  busy_ = false;
}

}  // namespace krakend::p2p
