#pragma once

#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "krakend/core/digest.h"
#include "krakend/io/condition.h"
#include "krakend/io/loop.h"

namespace krakend::registry {

/// Keeps pushes and deletions of the same blobs apart: a push must not find a blob that is gone when its tag
/// is written, nor a deletion take one that a push has just found. Guards what goes through this process, no
/// other proxy. Loop thread.
class BlobGuard {
 public:
  explicit BlobGuard(io::Loop& loop) : freed_(loop) {}
  BlobGuard(const BlobGuard&) = delete;
  BlobGuard& operator=(const BlobGuard&) = delete;

  /// Blobs that a push refers to, from the look that finds them to the tag that names them.
  class Pins {
   public:
    Pins(BlobGuard& guard, std::vector<Digest> digests);
    Pins(const Pins&) = delete;
    Pins& operator=(const Pins&) = delete;
    ~Pins();

   private:
    BlobGuard& guard_;
    const std::vector<Digest> digests_;
  };
  /// Waits until no deletion of any of these is under way; Pins made before the next wait hold.
  Task<> undoomed(std::vector<Digest> digests);

  /// A blob that is being deleted.
  class Doom {
   public:
    Doom(BlobGuard& guard, const Digest& digest);
    Doom(const Doom&) = delete;
    Doom& operator=(const Doom&) = delete;
    ~Doom();
    /// A push refers to it, or another deletion has it: it stays.
    bool refused() const { return refused_; }

   private:
    BlobGuard& guard_;
    const Digest digest_;
    bool refused_ = false;
  };

 private:
  std::unordered_map<Digest, size_t> pins_;
  std::unordered_set<Digest> doomed_;
  io::Condition freed_;
};

}  // namespace krakend::registry
