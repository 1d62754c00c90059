#include "krakend/registry/reachable.h"

#include <algorithm>
#include <memory>
#include <optional>

#include "krakend/io/parallel.h"
#include "krakend/registry/tag_names.h"
#include "registry/aliases.h"
#include "registry/manifest_store.h"
#include "registry/references.h"

namespace krakend::registry {

namespace {

/// Tags that are looked at in parallel: each costs a call to the build-index.
constexpr size_t parallel_tags = 16;

using RepoTag = std::pair<std::string, std::string>;

/// The manifest whose referrers a tag lists. Of longer digests the tag holds only a part: such lists always
/// count.
std::optional<Digest> subject_of(std::string_view tag) {
  constexpr std::string_view prefix = "sha256-";
  if (!tag.starts_with(prefix)) return std::nullopt;
  auto digest = Digest::parse_hex(tag.substr(prefix.size()));
  return digest ? std::optional(*digest) : std::nullopt;
}

/// Its workers own it: they may end a little later than who waits for them.
class Walk : public std::enable_shared_from_this<Walk> {
 public:
  Walk(io::Loop& loop, io::TaskGroup& tasks, Transfer& transfer, uint64_t manifest_size_max)
      : loop_(loop),
        transfer_(transfer),
        aliases_(transfer),
        store_(loop, transfer, manifest_size_max),
        references_(loop, store_, aliases_),
        tasks_(tasks) {}

  Task<Result<Reachable>> run();

 private:
  Task<Result<void>> follow_all(std::vector<RepoTag> tags);
  Task<> follow_tag(const RepoTag& name);
  Task<Result<void>> follow(const RepoTag& name, Digest digest);
  /// Follows the lists whose subject has been reached; how many there were.
  Task<Result<size_t>> follow_lists();

  io::Loop& loop_;
  Transfer& transfer_;
  Aliases aliases_;
  ManifestStore store_;
  ReferenceReader references_;
  io::TaskGroup& tasks_;
  Reachable found_;
  std::unordered_set<Digest> walked_;              ///< manifests
  std::vector<std::pair<RepoTag, Digest>> lists_;  ///< of referrers, with the subject; not followed yet
  std::optional<Error> failure_;
};

Task<Result<Reachable>> Walk::run() {
  auto names = co_await transfer_.list_names("");
  if (!names) co_return propagate(names);
  std::vector<RepoTag> tags;
  for (RepoTag& name : split_tags(*names)) {
    const auto subject = subject_of(name.second);
    if (subject)
      lists_.emplace_back(std::move(name), *subject);
    else
      tags.push_back(std::move(name));
  }
  found_.tags = tags.size() + lists_.size();
  auto followed = co_await follow_all(std::move(tags));
  if (!followed) co_return propagate(followed);
  for (size_t progress = 1; progress != 0;) {
    auto more = co_await follow_lists();
    if (!more) co_return propagate(more);
    progress = *more;
  }
  for (const auto& [name, subject] : lists_) {
    auto index = co_await transfer_.get_tag(name.first, name.second);
    if (!index && index.error().code != Errc::not_found) co_return propagate(index);
    if (index) found_.orphans.push_back({name.first, name.second, *index});
  }
  found_.manifests = walked_.size();
  std::sort(found_.missing.begin(), found_.missing.end());
  co_return std::move(found_);
}

Task<Result<size_t>> Walk::follow_lists() {
  std::vector<RepoTag> ripe;
  std::erase_if(lists_, [&](const auto& list) {
    const bool reached = found_.blobs.contains(list.second);
    if (reached) ripe.push_back(list.first);
    return reached;
  });
  const size_t count = ripe.size();
  auto followed = co_await follow_all(std::move(ripe));
  if (!followed) co_return propagate(followed);
  co_return count;
}

Task<Result<void>> Walk::follow_all(std::vector<RepoTag> tags) {
  const size_t count = tags.size();
  const auto list = std::make_shared<const std::vector<RepoTag>>(std::move(tags));
  std::function<Task<>(size_t)> work = [self = shared_from_this(), list](size_t index) {
    return self->follow_tag((*list)[index]);
  };
  const bool all = co_await io::run_parallel(loop_, tasks_, count, parallel_tags, work);
  if (failure_) co_return fail(*failure_);
  if (!all) co_return fail(Errc::cancelled, "stopped");
  co_return Result<void>{};
}

Task<> Walk::follow_tag(const RepoTag& name) {
  if (failure_) co_return;
  auto digest = co_await transfer_.get_tag(name.first, name.second);
  if (!digest && digest.error().code == Errc::not_found) co_return;  // removed meanwhile
  if (!digest) {
    failure_ = digest.error();
    co_return;
  }
  auto followed = co_await follow(name, *digest);
  if (!followed) {
    failure_ = Error{followed.error().code,
                     fmt::format("{}:{}: {}", name.first, name.second, followed.error().message),
                     followed.error().http_status};
  }
}

Task<Result<void>> Walk::follow(const RepoTag& name, Digest digest) {
  std::vector<Digest> left{digest};
  while (!left.empty()) {
    const Digest next = left.back();
    left.pop_back();
    found_.blobs.insert(next);
    if (!walked_.insert(next).second) continue;
    auto references = co_await references_.read(name.first, next);
    if (!references) co_return propagate(references);
    if ((*references)->missing) {
      found_.missing.push_back(
          fmt::format("{}:{}: manifest {} is not there", name.first, name.second, next.str()));
    }
    found_.blobs.insert((*references)->leaves.begin(), (*references)->leaves.end());
    left.insert(left.end(), (*references)->manifests.begin(), (*references)->manifests.end());
  }
  co_return Result<void>{};
}

}  // namespace

Task<Result<Reachable>> find_reachable(io::Loop& loop, io::TaskGroup& tasks, Transfer& transfer,
                                       uint64_t manifest_size_max) {
  const auto walk = std::make_shared<Walk>(loop, tasks, transfer, manifest_size_max);
  co_return co_await walk->run();
}

}  // namespace krakend::registry
