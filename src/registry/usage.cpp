#include "registry/usage.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "krakend/io/parallel.h"
#include "krakend/registry/tag_names.h"

namespace krakend::registry {

namespace {

/// Tags that are looked at in parallel: each costs a call to the build-index.
constexpr size_t parallel_tags = 16;

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
  auto names = co_await transfer_.list_names("");
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
  std::vector<Digest> root{*digest};
  auto all = co_await references_.below(repo, std::move(root));
  if (!all) {
    search->failure = all.error();
  } else if (std::find(all->begin(), all->end(), search->wanted) != all->end()) {
    search->user = fmt::format("{}:{}", repo, tag);
  }
}

}  // namespace krakend::registry
