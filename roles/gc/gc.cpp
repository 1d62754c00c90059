#include "roles/gc/gc.h"

#include <algorithm>
#include <utility>

#include "krakend/api/deletions.h"
#include "krakend/core/content_digest.h"
#include "krakend/core/units.h"

namespace krakend::gc {
namespace {

/// Blobs that are frozen at once: the freeze lasts 30 s.
constexpr size_t batch_size = 100;
constexpr size_t told_missing_max = 10;
/// Everybody has read a deletion note by then.
constexpr auto note_age_max = std::chrono::days(30);

}  // namespace

Collector::Collector(Services services, CollectorOptions options, Say say, Logger log)
    : services_(services),
      options_(std::move(options)),
      say_(std::move(say)),
      log_(std::move(log)),
      origins_({services.loop, services.client, services.clock, services.random}, options_.origins,
               log_.module("origins")),
      tags_(services.client, services.clock, services.random, options_.build_indexes),
      reader_(origins_, tags_) {}

Task<Result<CollectorReport>> Collector::run() {
  start_ = services_.clock.now();
  auto listed = co_await take_inventory();
  if (!listed) co_return propagate(listed);
  auto reachable =
      co_await registry::find_reachable(services_.loop, services_.tasks, reader_, manifest_size_max);
  if (!reachable) co_return propagate(reachable);
  if (!reachable->missing.empty() && !options_.skip_missing) {
    for (size_t i = 0; i < std::min(reachable->missing.size(), told_missing_max); ++i)
      say_(reachable->missing[i]);
    co_return fail(
        Errc::not_found,
        "{} manifests that tags lead to are not there, and what they refer to cannot be known: push them "
        "again, delete the tags, or go on with --skip-missing",
        reachable->missing.size());
  }
  auto named = co_await read_aliases();
  if (!named) co_return propagate(named);
  auto collected = co_await collect(*reachable);
  if (!collected) co_return propagate(collected);
  if (options_.remove) {
    auto cleaned = co_await clean_notes();
    if (!cleaned) co_return propagate(cleaned);
  }
  co_return report_;
}

Task<Result<void>> Collector::take_inventory() {
  api::CollectionClient first(services_.client, options_.origins.front());
  for (const std::string& ns : options_.namespaces) {
    auto inventory = co_await first.inventory(ns, true);
    if (!inventory) co_return propagate(inventory);
    hosts_ = inventory->cluster;
    there_.insert(inventory->cached.begin(), inventory->cached.end());
    there_.insert(inventory->stored.begin(), inventory->stored.end());
  }
  if (hosts_.size() < 2) {
    // A lone origin may call itself by a name that only its own machine resolves, and has said all.
    hosts_ = {first.host()};
    co_return Result<void>{};
  }
  for (const std::string& host : hosts_) {
    api::CollectionClient origin(services_.client, host);
    auto inventory = co_await origin.inventory(options_.namespaces.front(), false);
    if (!inventory) {
      co_return fail(inventory.error().code, "all origins have to be there, but {}: {}", host,
                     inventory.error().message);
    }
    there_.insert(inventory->cached.begin(), inventory->cached.end());
  }
  co_return Result<void>{};
}

Task<Result<void>> Collector::collect(const registry::Reachable& reachable) {
  report_.tags = reachable.tags;
  report_.manifests = reachable.manifests;
  for (const auto& orphan : reachable.orphans) orphans_[orphan.index] = orphan;
  Batch unused;
  for (const Digest& digest : there_) {
    if (reachable.blobs.contains(digest))
      ++report_.in_use;
    else
      unused.push_back(digest);
  }
  std::sort(unused.begin(), unused.end());
  report_.unused = unused.size();
  for (size_t begin = 0; begin < unused.size(); begin += batch_size) {
    const size_t end = std::min(begin + batch_size, unused.size());
    Batch batch(unused.begin() + static_cast<std::ptrdiff_t>(begin),
                unused.begin() + static_cast<std::ptrdiff_t>(end));
    auto done = co_await collect_batch(std::move(batch));
    if (!done) co_return done;
  }
  co_return Result<void>{};
}

void Collector::keep(const Digest& digest, const std::string& why) {
  ++report_.kept;
  say_(fmt::format("{} stays: {}", digest.str(), why));
}

Task<Result<void>> Collector::collect_batch(Batch batch) {
  auto frozen = co_await freeze(batch);
  if (!frozen) {
    co_await release(std::move(batch));
    co_return propagate(frozen);
  }
  Result<void> done;
  if (options_.remove) {
    done = co_await remove(*frozen);
  } else {
    for (const auto& [digest, size] : *frozen) {
      say_(fmt::format("{} would be removed, {} bytes", digest.str(), size));
      ++report_.removed;
      report_.removed_bytes += size;
    }
  }
  co_await release(std::move(batch));
  co_return done;
}

Task<Result<std::map<Digest, uint64_t>>> Collector::freeze(const Batch& batch) {
  std::map<Digest, uint64_t> frozen;
  for (const Digest& digest : batch) frozen[digest] = 0;
  for (const std::string& host : hosts_) {
    api::CollectionClient origin(services_.client, host);
    api::CollectionRequest request;
    request.ns = options_.namespaces.front();
    for (const auto& [digest, size] : frozen) request.digests.push_back(digest);
    request.unused_for = options_.min_age + (services_.clock.now() - start_);
    request.dry_run = !options_.remove;
    request.backend = host == hosts_.front();
    auto answer = co_await origin.freeze(std::move(request));
    if (!answer) co_return propagate(answer);
    for (const auto& [digest, reason] : answer->refused) {
      keep(digest, fmt::format("{}: {}", host, reason));
      frozen.erase(digest);
    }
    for (const auto& [digest, size] : answer->done) {
      const auto entry = frozen.find(digest);
      if (entry != frozen.end()) entry->second = std::max(entry->second, size);
    }
  }
  co_return frozen;
}

Task<Result<void>> Collector::remove(const std::map<Digest, uint64_t>& frozen) {
  Batch batch;
  for (const auto& [digest, size] : frozen) batch.push_back(digest);
  auto unnamed = co_await remove_orphan_tags(batch);
  if (unnamed) unnamed = co_await remove_aliases(batch);
  if (!unnamed) co_return unnamed;
  // The backend comes last: as long as it has a blob, a cache that lost it can get it back.
  for (const std::string& host : hosts_) {
    api::CollectionRequest request;
    request.ns = options_.namespaces.front();
    auto swept = co_await sweep(host, std::move(request), batch);
    if (!swept) co_return swept;
  }
  for (const std::string& ns : options_.namespaces) {
    api::CollectionRequest request;
    request.ns = ns;
    request.backend = true;
    auto swept = co_await sweep(hosts_.front(), std::move(request), batch);
    if (!swept) co_return swept;
  }
  for (const Digest& digest : batch) {
    const uint64_t size = frozen.at(digest);
    say_(fmt::format("{} removed, {} bytes", digest.str(), size));
    ++report_.removed;
    report_.removed_bytes += size;
  }
  co_return Result<void>{};
}

Task<Result<void>> Collector::remove_orphan_tags(Batch& batch) {
  Batch kept;
  for (const Digest& digest : batch) {
    const auto found = orphans_.find(digest);
    if (found == orphans_.end()) continue;
    const std::string name = fmt::format("{}:{}", found->second.repo, found->second.tag);
    auto current = co_await tags_.get(name);
    if (!current && current.error().code != Errc::not_found) co_return propagate(current);
    if (current && *current != digest) {
      keep(digest, name + " has changed");
      kept.push_back(digest);
      continue;
    }
    auto removed = co_await tags_.remove(name);
    if (!removed && removed.error().code != Errc::not_found) co_return removed;
    say_(fmt::format("{} removed: its subject is not in use", name));
  }
  std::erase_if(batch, [&kept](const Digest& digest) {
    return std::find(kept.begin(), kept.end(), digest) != kept.end();
  });
  co_return Result<void>{};
}

Task<Result<void>> Collector::sweep(const std::string& host, api::CollectionRequest request, Batch& batch) {
  request.digests = batch;
  api::CollectionClient origin(services_.client, host);
  auto answer = co_await origin.sweep(std::move(request));
  if (!answer) co_return propagate(answer);
  for (const auto& [digest, reason] : answer->refused) keep(digest, fmt::format("{}: {}", host, reason));
  std::erase_if(batch, [&answer](const Digest& digest) { return answer->refused.contains(digest); });
  co_return Result<void>{};
}

Task<> Collector::release(Batch batch) {
  if (!options_.remove) co_return;
  for (const std::string& host : hosts_) {
    api::CollectionClient origin(services_.client, host);
    api::CollectionRequest request;
    request.digests = batch;
    auto released = co_await origin.release(std::move(request));
    if (!released)
      log_.warn("origin {} keeps blobs frozen for half a minute: {}", host, released.error().message);
  }
}

Task<Result<void>> Collector::read_aliases() {
  auto names = co_await tags_.list(alias_prefix());
  if (!names) co_return propagate(names);
  for (const std::string& name : *names) {
    auto digest = co_await tags_.get(name);
    if (!digest && digest.error().code != Errc::not_found) co_return propagate(digest);
    if (digest) aliases_.emplace(*digest, name);
  }
  co_return Result<void>{};
}

/// While the content is frozen: nobody can push it again under this name until the name is gone.
Task<Result<void>> Collector::remove_aliases(const Batch& batch) {
  for (const Digest& digest : batch) {
    const auto [begin, end] = aliases_.equal_range(digest);
    for (auto alias = begin; alias != end; ++alias) {
      auto removed = co_await tags_.remove(alias->second);
      if (!removed && removed.error().code != Errc::not_found) co_return removed;
    }
  }
  co_return Result<void>{};
}

Task<Result<void>> Collector::clean_notes() {
  auto names = co_await tags_.list(api::deletion_notes_prefix());
  if (!names) co_return propagate(names);
  const auto now = services_.clock.wall();
  for (const std::string& name : *names) {
    const auto written = api::deletion_note_day(name);
    if (!written || now - *written <= note_age_max) continue;
    auto removed = co_await tags_.remove(name);
    if (!removed && removed.error().code != Errc::not_found) co_return removed;
    log_.info("removed note {}", name);
  }
  co_return Result<void>{};
}

}  // namespace krakend::gc
