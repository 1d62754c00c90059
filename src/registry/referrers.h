#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "krakend/core/content_digest.h"
#include "krakend/http/message.h"
#include "krakend/io/condition.h"
#include "krakend/io/loop.h"
#include "krakend/registry/registry.h"
#include "registry/manifest_store.h"
#include "registry/pages.h"

namespace krakend::registry {

/// A manifest that names a subject: a signature, an attestation, a software bill of materials.
struct Referrer {
  ContentDigest digest;  ///< as it was pushed
  std::string media_type;
  std::string text;
};

/// `index` with a descriptor of `referrer` added; an empty `index` begins a new one. nullopt: it is listed
/// already. Error: `index` is no index.
Result<std::optional<std::string>> add_referrer(std::string_view index, const Referrer& referrer);
/// `index` without the descriptors of a manifest, whichever of its names they have; empty when none is left,
/// nullopt when it is not listed.
Result<std::optional<std::string>> remove_referrer(std::string_view index,
                                                   const std::vector<ContentDigest>& names);
struct ReferrersPage {
  std::string index;
  /// Entries of this page and the digest of its last one, where more follow.
  uint64_t count = 0;
  std::string next_after;
};
/// `index` with the descriptors of one artifact type only (empty: all), in the order of their arrival; of a
/// page, in that of their digests, which stays when others come and go.
Result<ReferrersPage> select_referrers(std::string_view index, std::string_view artifact_type,
                                       const PageRequest& page);
/// Tag of the index that lists the referrers of `subject`: "sha256-<hex>", of a longer hex the first 64
/// digits.
std::string referrers_tag(const ContentDigest& subject);

/// The manifests that refer to a manifest (OCI distribution spec, "Listing Referrers"). Kept as an index
/// under the spec's referrers tag, so that clients and registries that know only the tag see the same list.
/// Loop thread.
class Referrers {
 public:
  Referrers(io::Loop& loop, Transfer& transfer, ManifestStore& store)
      : loop_(loop), transfer_(transfer), store_(store), free_(loop) {}

  /// GET /v2/<name>/referrers/<digest>[?artifactType=…][&n=…][&last=…]; nothing known is an empty index.
  Task<http::Response> list(http::Request& request, std::string name, ContentDigest subject);
  /// Whether a manifest is on the list, by any of its names.
  Task<Result<bool>> lists(std::string name, ContentDigest subject, std::vector<ContentDigest> names);
  /// Adds a referrer that is stored already. One change at a time: each reads the index that the last one
  /// wrote.
  Task<Result<void>> add(std::string name, ContentDigest subject, Referrer referrer);
  /// Takes a manifest off the list; success when it is not on it. The tag goes with the last one.
  Task<Result<void>> remove(std::string name, ContentDigest subject, std::vector<ContentDigest> names);

 private:
  /// Text of the index; empty when there is none.
  Task<Result<std::string>> load(std::string name, ContentDigest subject);
  /// Makes a new index of the old one, or nullopt when nothing changes. Pool.
  using Change = std::function<Result<std::optional<std::string>>(std::string_view index)>;
  Task<Result<void>> change(std::string name, ContentDigest subject, Change change);
  /// Until there is nothing left to change: another proxy may have written an index without this change.
  Task<Result<void>> change_alone(std::string name, ContentDigest subject, const Change& change);
  Task<Result<void>> write(std::string name, ContentDigest subject, std::string index);

  io::Loop& loop_;
  Transfer& transfer_;
  ManifestStore& store_;
  bool changing_ = false;
  io::Condition free_;
};

}  // namespace krakend::registry
