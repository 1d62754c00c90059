#include "registry/references.h"

#include <unordered_set>
#include <utility>

#include "krakend/registry/manifest.h"

namespace krakend::registry {

namespace {

/// Manifests whose references are remembered; some 100 MB when all are images of 20 layers.
constexpr size_t known_max = 100'000;

/// Taken as it was found: the rules for new manifests do not hold for those that are there.
Manifest read_document(std::string_view text) {
  auto manifest = parse_manifest(text, "");
  if (manifest) return std::move(*manifest);
  Manifest unknown;
  unknown.references = digests_in(text);
  return unknown;
}

}  // namespace

Task<Result<ReferencesPtr>> ReferenceReader::read(std::string repo, Digest digest) {
  const auto found = known_.find(digest);
  if (found != known_.end()) co_return found->second;
  const auto references = std::make_shared<References>();
  auto text = co_await store_.load(repo, digest);
  if (!text && text.error().code == Errc::not_found) {
    references->missing = true;
    co_return references;
  }
  if (!text) co_return propagate(text);
  const std::string* document = &*text;
  Manifest manifest = co_await loop_.offload([&] { return read_document(*document); });
  std::vector<ContentDigest> leaves = std::move(manifest.external);
  std::vector<ContentDigest> children;
  for (ContentDigest& name : manifest.references)
    (manifest.manifests.contains(name) ? children : leaves).push_back(std::move(name));
  auto resolved = co_await resolve(std::move(children), references->manifests);
  if (resolved) resolved = co_await resolve(std::move(leaves), references->leaves);
  if (!resolved) co_return propagate(resolved);
  if (known_.size() >= known_max) known_.clear();
  known_[digest] = references;
  co_return references;
}

Task<Result<std::vector<Digest>>> ReferenceReader::below(std::string repo, std::vector<Digest> manifests) {
  std::unordered_set<Digest> all(manifests.begin(), manifests.end());
  while (!manifests.empty()) {
    const Digest digest = manifests.back();
    manifests.pop_back();
    auto references = co_await read(repo, digest);
    if (!references) co_return propagate(references);
    all.insert((*references)->leaves.begin(), (*references)->leaves.end());
    for (const Digest& child : (*references)->manifests) {
      if (all.insert(child).second) manifests.push_back(child);
    }
  }
  co_return std::vector<Digest>(all.begin(), all.end());
}

Task<Result<void>> ReferenceReader::resolve(std::vector<ContentDigest> names, std::vector<Digest>& out) {
  auto resolved = co_await aliases_.resolve_all(std::move(names));
  if (!resolved) co_return propagate(resolved);
  for (const Aliases::Resolved& reference : *resolved) {
    if (reference.digest) out.push_back(*reference.digest);
  }
  co_return Result<void>{};
}

}  // namespace krakend::registry
