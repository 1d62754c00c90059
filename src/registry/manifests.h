#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "krakend/core/digest.h"
#include "krakend/core/log.h"
#include "krakend/http/message.h"
#include "krakend/io/loop.h"
#include "krakend/registry/registry.h"
#include "registry/manifest.h"
#include "registry/manifest_store.h"
#include "registry/paths.h"
#include "registry/referrers.h"

namespace krakend::registry {

/// GET, HEAD and PUT of manifests. Loop thread; parsing and hashing happen on the pool.
class ManifestEndpoint {
 public:
  ManifestEndpoint(io::Loop& loop, Transfer& transfer, ManifestStore& store, Referrers& referrers, Logger log)
      : loop_(loop), transfer_(transfer), store_(store), referrers_(referrers), log_(std::move(log)) {}

  /// Accept is not enforced: there is one form of each manifest, and every client of today takes all four
  /// types.
  Task<http::Response> get(http::Request& request, Target target);
  Task<http::Response> put(http::Request& request, Target target);

 private:
  /// The digest, looked up when the target is a tag.
  Task<Result<Digest>> resolve(Target target);
  /// The answer that names every referenced blob that is missing; nothing when all are there.
  Task<std::optional<http::Response>> check_references(std::string name, std::vector<Digest> references);
  /// Stores the manifest, then makes it visible under its tag and to its subject.
  Task<Result<void>> publish(Target target, Referrer manifest, std::optional<Digest> subject);

  io::Loop& loop_;
  Transfer& transfer_;
  ManifestStore& store_;
  Referrers& referrers_;
  Logger log_;
};

}  // namespace krakend::registry
