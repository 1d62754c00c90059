#include "registry/blob_guard.h"

#include <algorithm>
#include <utility>

namespace krakend::registry {

BlobGuard::Pins::Pins(BlobGuard& guard, std::vector<Digest> digests)
    : guard_(guard), digests_(std::move(digests)) {
  for (const Digest& digest : digests_) ++guard_.pins_[digest];
}

BlobGuard::Pins::~Pins() {
  for (const Digest& digest : digests_) {
    const auto found = guard_.pins_.find(digest);
    if (--found->second == 0) guard_.pins_.erase(found);
  }
}

Task<> BlobGuard::undoomed(std::vector<Digest> digests) {
  const auto is_doomed = [this](const Digest& digest) { return doomed_.contains(digest); };
  while (std::any_of(digests.begin(), digests.end(), is_doomed)) co_await freed_.wait();
}

BlobGuard::Doom::Doom(BlobGuard& guard, const Digest& digest) : guard_(guard), digest_(digest) {
  refused_ = guard_.pins_.contains(digest) || !guard_.doomed_.insert(digest).second;
}

BlobGuard::Doom::~Doom() {
  if (refused_) return;
  guard_.doomed_.erase(digest_);
  guard_.freed_.notify_all();
}

}  // namespace krakend::registry
