#pragma once

#include <optional>
#include <string>
#include <utility>

#include "krakend/core/digest.h"
#include "krakend/core/log.h"
#include "krakend/http/message.h"
#include "krakend/io/loop.h"
#include "krakend/registry/registry.h"
#include "registry/aliases.h"
#include "registry/blob_guard.h"
#include "registry/manifest_store.h"
#include "registry/paths.h"
#include "registry/referrers.h"
#include "registry/repositories.h"
#include "registry/usage.h"

namespace krakend::registry {

/// DELETE of tags, manifests and blobs. Blobs belong to all repositories, so content goes only when no tag of
/// any of them refers to it any more. Loop thread.
class DeleteEndpoint {
 public:
  struct Services {
    io::Loop& loop;
    Transfer& transfer;
    ManifestStore& store;
    Referrers& referrers;
    Usage& usage;
    BlobGuard& guard;
    Aliases& aliases;
    Repositories& repositories;
  };
  DeleteEndpoint(Services services, Logger log) : s_(services), log_(std::move(log)) {}

  Task<http::Response> manifest(Target target);
  /// 405 while a tag refers to the blob.
  Task<http::Response> blob(Target target);

 private:
  Task<http::Response> tag(Target target);
  /// Takes the manifest out of its repository: its tags, and its place among the referrers of its subject.
  Task<Result<void>> unlink(const Target& target);
  /// Removes the blob unless something refers to it; the value says what.
  Task<Result<std::optional<std::string>>> remove_unused(const Target& target);

  Services s_;
  Logger log_;
};

}  // namespace krakend::registry
