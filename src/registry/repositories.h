#pragma once

#include <string>
#include <utility>
#include <vector>

#include "krakend/io/task.h"
#include "krakend/registry/registry.h"

namespace krakend::registry {

/// Which repositories there are: those that have a tag, and those that had one before it was deleted, which a
/// note at the build-index keeps known. Loop thread.
class Repositories {
 public:
  explicit Repositories(Transfer& transfer) : transfer_(transfer) {}

  /// Tags in lexical order; not_found for a repository that never had one.
  Task<Result<std::vector<std::string>>> tags(std::string name);
  /// Keeps a repository known when its last tag goes.
  Task<Result<void>> remember(std::string name);

 private:
  Transfer& transfer_;
};

}  // namespace krakend::registry
