#pragma once

#include <cstdint>
#include <string>
#include <unordered_set>
#include <vector>

#include "krakend/api/clients.h"
#include "krakend/io/clock.h"
#include "krakend/registry/manifest.h"
#include "roles/proxy/prefetch_counters.h"
#include "roles/proxy/prefetch_request.h"

namespace krakend::proxy {

/// Finds out which blobs an image consists of. Loop thread.
class ImageReader {
 public:
  struct Parts {
    io::Loop& loop;
    io::Clock& clock;
    api::OriginCluster& origins;
    api::TagClient& tags;
    const PrefetchCounters& counters;
  };
  ImageReader(Parts parts, uint64_t manifest_size_max)
      : parts_(parts), manifest_size_max_(manifest_size_max) {}

  struct Blob {
    Digest digest;
    uint64_t size = 0;  ///< as its descriptor says; 0 where it says nothing
  };
  /// More blobs of one image are not looked at.
  static constexpr size_t blobs_max = 8192;

  /// The manifest that a tag leads to.
  Task<Result<Digest>> find(ImageName image);
  /// The manifest and what it refers to; of a list or index also what its manifests refer to, but no deeper.
  Task<Result<std::vector<Blob>>> blobs(std::string ns, Digest manifest);
  /// What one manifest refers to.
  Task<Result<std::vector<Blob>>> references(std::string ns, Digest manifest);

 private:
  struct Loaded {
    registry::Manifest manifest;
    uint64_t size = 0;
  };
  /// Blobs in order of appearance, each once.
  struct Collection {
    std::vector<Blob> blobs;
    std::unordered_set<Digest> seen;
    Result<void> add(const Blob& blob);
  };
  Task<Result<Loaded>> load(std::string ns, Digest digest);
  Task<Result<Digest>> sha256_of(ContentDigest name);
  Task<Result<void>> add_references(const registry::Manifest& manifest, Collection& out,
                                    std::vector<Digest>* children);

  const Parts parts_;
  const uint64_t manifest_size_max_;
};

}  // namespace krakend::proxy
