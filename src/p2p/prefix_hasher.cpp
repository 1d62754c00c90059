#include "p2p/prefix_hasher.h"

#include <algorithm>

namespace krakend::p2p {

Task<Result<void>> PrefixHasher::advance(uint64_t end) {
  const auto stop = std::min(end, position_ + step_size);
  busy_ = true;
  auto done = co_await loop_.offload([this, stop] { return file_->hash(sha_, position_, stop); });
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
