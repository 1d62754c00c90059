#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "krakend/core/digest.h"
#include "krakend/core/log.h"
#include "krakend/http/message.h"
#include "krakend/io/loop.h"
#include "krakend/registry/manifest.h"
#include "krakend/registry/registry.h"
#include "registry/aliases.h"
#include "registry/blob_guard.h"
#include "registry/manifest_store.h"
#include "registry/paths.h"
#include "registry/references.h"
#include "registry/referrers.h"

namespace krakend::registry {

/// GET, HEAD and PUT of manifests. Loop thread; parsing and hashing happen on the pool.
class ManifestEndpoint {
 public:
  ManifestEndpoint(io::Loop& loop, Transfer& transfer, ManifestStore& store, ReferenceReader& reader,
                   Referrers& referrers, BlobGuard& guard, Aliases& aliases, Logger log)
      : loop_(loop),
        transfer_(transfer),
        store_(store),
        reader_(reader),
        referrers_(referrers),
        guard_(guard),
        aliases_(aliases),
        log_(std::move(log)) {}

  /// Accept is not enforced: there is one form of each manifest, and every client of today takes all four
  /// types.
  Task<http::Response> get(http::Request& request, Target target);
  Task<http::Response> put(http::Request& request, Target target);

 private:
  /// The digest, looked up when the target is a tag.
  Task<Result<Digest>> resolve(Target target);
  /// Content is shared by all repositories, but a referrer belongs to those that it was pushed to: a client that
  /// copies it to another one must not find it there already and leave it out of the list.
  Task<Result<bool>> belongs(const Target& target, Digest digest, const std::string& text);
  /// What PUT needs of the body, computed in one go on the pool.
  struct Inspected {
    Digest digest;
    ContentDigest name;  ///< by the algorithm that the client uses
    Result<Manifest> manifest;
  };
  Task<Inspected> inspect(const std::string& text, const std::string& type,
                          const std::optional<ContentDigest>& named);
  /// Names of everything that a manifest leads to: its references, and what child manifests refer to.
  Task<Result<std::vector<Aliases::Resolved>>> all_references(std::string name, Manifest manifest);
  /// The answer that names every referenced blob that is missing; nothing when all are there.
  Task<std::optional<http::Response>> check_references(std::string name,
                                                       std::vector<Aliases::Resolved> references);
  /// Stores the manifest, then makes it visible under its name, its tag and to its subject.
  Task<Result<void>> publish(Target target, Digest digest, Referrer manifest,
                             std::optional<ContentDigest> subject);

  io::Loop& loop_;
  Transfer& transfer_;
  ManifestStore& store_;
  ReferenceReader& reader_;
  Referrers& referrers_;
  BlobGuard& guard_;
  Aliases& aliases_;
  Logger log_;
};

}  // namespace krakend::registry
