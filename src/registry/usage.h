#pragma once

#include <memory>
#include <optional>
#include <string>

#include "krakend/core/digest.h"
#include "krakend/io/loop.h"
#include "krakend/io/task_group.h"
#include "krakend/registry/registry.h"
#include "registry/references.h"

namespace krakend::registry {

/// Which tags refer to a blob. There is no index of it that could be wrong: every question reads all tags.
/// Loop thread.
class Usage {
 public:
  Usage(io::Loop& loop, Transfer& transfer, ReferenceReader& references)
      : loop_(loop), transfer_(transfer), references_(references), tasks_(loop) {}
  Task<> stop() { return tasks_.stop(); }

  /// A tag, as "repo:tag", whose manifest is the blob or refers to it, through indexes too; nullopt when
  /// there is none. An error when a manifest could not be read: then nobody knows.
  Task<Result<std::optional<std::string>>> find_user(Digest digest);

 private:
  struct Search;
  Task<> look_at(std::shared_ptr<Search> search, size_t index);

  io::Loop& loop_;
  Transfer& transfer_;
  ReferenceReader& references_;
  io::TaskGroup tasks_;
};

}  // namespace krakend::registry
