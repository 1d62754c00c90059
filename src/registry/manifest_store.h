#pragma once

#include <string>

#include "krakend/core/digest.h"
#include "krakend/io/content.h"
#include "krakend/io/loop.h"
#include "krakend/registry/registry.h"

namespace krakend::registry {

/// Manifests as text: small blobs that are read and written whole. Loop thread; disk work happens on the
/// pool.
class ManifestStore {
 public:
  ManifestStore(io::Loop& loop, Transfer& transfer, uint64_t size_max)
      : loop_(loop), transfer_(transfer), size_max_(size_max) {}
  uint64_t size_max() const { return size_max_; }
  /// not_found when the blob is larger than a manifest may be.
  Task<Result<std::string>> read(io::ContentPtr content);
  /// Opens and reads a manifest; not_found also when the blob is larger than one may be, without fetching it.
  Task<Result<std::string>> load(std::string name, Digest digest);
  Task<Result<void>> write(std::string name, Digest digest, std::string text);

 private:
  io::Loop& loop_;
  Transfer& transfer_;
  uint64_t size_max_;  ///< bytes
};

}  // namespace krakend::registry
