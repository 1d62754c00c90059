#include "registry/usage.h"

#include <algorithm>
#include <unordered_set>
#include <utility>

#include "krakend/io/parallel.h"
#include "krakend/registry/manifest.h"
#include "krakend/registry/tag_names.h"

namespace krakend::registry {

namespace {

/// Tags that are looked at in parallel: each costs a call to the build-index.
constexpr size_t parallel_tags = 16;
/// Manifests whose references are remembered; some 100 MB when all are images of 20 layers.
constexpr size_t known_max = 100'000;

}  // namespace

struct Usage::Search {
  Digest wanted;
  std::vector<std::pair<std::string, std::string>> tags;  ///< repository, tag
  std::optional<std::string> user;
  std::optional<Error> failure;
};

Task<Result<std::optional<std::string>>> Usage::find_user(Digest digest) {
  const auto search = std::make_shared<Search>();
  search->wanted = digest;
  auto names = co_await transfer_.list_all();
  if (!names) co_return propagate(names);
  search->tags = split_tags(*names);
  std::function<Task<>(size_t)> work = [this, search](size_t index) { return look_at(search, index); };
  const bool all = co_await io::run_parallel(loop_, tasks_, search->tags.size(), parallel_tags, work);
  if (search->user) co_return std::move(search->user);
  if (search->failure) co_return fail(*search->failure);
  if (!all) co_return fail(Errc::cancelled, "shutting down");
  co_return std::optional<std::string>();
}

Task<> Usage::look_at(std::shared_ptr<Search> search, size_t index) {
  if (search->user || search->failure) co_return;
  const auto& [repo, tag] = search->tags[index];
  auto digest = co_await transfer_.get_tag(repo, tag);
  if (!digest && digest.error().code == Errc::not_found) co_return;  // removed meanwhile
  if (!digest) {
    search->failure = digest.error();
    co_return;
  }
  auto reached = co_await reaches(repo, *digest, search->wanted);
  if (!reached) {
    search->failure = reached.error();
  } else if (*reached) {
    search->user = fmt::format("{}:{}", repo, tag);
  }
}

Task<Result<bool>> Usage::reaches(std::string repo, Digest from, Digest wanted) {
  std::unordered_set<Digest> seen{from};
  std::vector<Digest> left{from};
  while (!left.empty()) {
    const Digest digest = left.back();
    left.pop_back();
    if (digest == wanted) co_return true;
    auto references = co_await references_of(repo, digest);
    if (!references) co_return propagate(references);
    const auto& leaves = (*references)->leaves;
    if (std::find(leaves.begin(), leaves.end(), wanted) != leaves.end()) co_return true;
    for (const Digest& child : (*references)->children) {
      if (seen.insert(child).second) left.push_back(child);
    }
  }
  co_return false;
}

Task<Result<Usage::ReferencesPtr>> Usage::references_of(std::string repo, Digest digest) {
  const auto found = known_.find(digest);
  if (found != known_.end()) co_return found->second;
  auto text = co_await store_.load(repo, digest);
  if (!text && text.error().code == Errc::not_found) co_return std::make_shared<References>();
  if (!text) co_return propagate(text);
  const std::string* document = &*text;
  auto manifest = co_await loop_.offload([&] { return parse_manifest(*document, ""); });
  const auto references = std::make_shared<References>();
  if (manifest) {
    auto& list = is_index(manifest->media_type) ? references->children : references->leaves;
    auto resolved = co_await resolve(std::move(manifest->references), list);
    if (resolved) resolved = co_await resolve(std::move(manifest->external), references->leaves);
    if (!resolved) co_return propagate(resolved);
  }
  if (known_.size() >= known_max) known_.clear();
  known_[digest] = references;
  co_return references;
}

Task<Result<void>> Usage::resolve(std::vector<ContentDigest> names, std::vector<Digest>& out) {
  auto resolved = co_await aliases_.resolve_all(std::move(names));
  if (!resolved) co_return propagate(resolved);
  for (const Aliases::Resolved& reference : *resolved) {
    if (reference.digest) out.push_back(*reference.digest);
  }
  co_return Result<void>{};
}

}  // namespace krakend::registry
