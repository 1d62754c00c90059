#pragma once

#include <string>
#include <vector>

#include "krakend/backend/backend.h"
#include "krakend/core/digest.h"
#include "krakend/io/task.h"

namespace krakend::build_index {

/// Tags ("repo:tag") as text in the backend whose namespace matches the tag. Nothing is
/// cached here.
/// Loop thread.
class TagStore {
 public:
  explicit TagStore(const backend::Backends& backends) : backends_(backends) {}
  /// Durable in the backend when it returns.
  Task<Result<void>> put(std::string tag, Digest digest);
  /// not_found; corrupt when the content is no digest.
  Task<Result<Digest>> get(std::string tag);
  /// Durable when it returns; not_found.
  Task<Result<void>> remove(std::string tag);
  /// All names under a prefix, sorted; the backend is chosen by the prefix itself (contract http-api §6.6).
  Task<Result<std::vector<std::string>>> list(std::string prefix);

 private:
  Result<backend::BackendPtr> backend_for(const std::string& ns) const;

  const backend::Backends& backends_;
};

}  // namespace krakend::build_index
