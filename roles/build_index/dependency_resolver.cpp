#include "roles/build_index/dependency_resolver.h"

#include <re2/re2.h>

#include <algorithm>
#include <unordered_set>

#include "krakend/api/backoff.h"
#include "krakend/core/hex.h"
#include "krakend/core/units.h"
#include "krakend/io/parallel.h"
#include "krakend/registry/manifest.h"

namespace krakend::build_index {
namespace {

/// Manifests larger than this are refused; the usual ones are some KiB.
constexpr uint64_t max_manifest = 4 * MiB;
/// Attempts after the first one, when the manifest has not reached the origins yet (contract core-formats
/// §22).
constexpr unsigned manifest_retries = 3;
constexpr api::Backoff manifest_backoff{500ms, 2, 30s};
/// Dependencies looked up at the origins at once.
constexpr size_t parallel_stats = 16;
/// Blobs that one tag may lead to when it is replicated.
constexpr size_t max_closure = 100'000;

std::string alias_tag(const ContentDigest& alias) {
  return fmt::format("{}:{}", alias_repository(alias), alias.hex());
}

}  // namespace

struct DependencyResolver::Rule {
  Rule(const std::string& regex, TagType t) : pattern(regex, RE2::Quiet), type(t) {}
  RE2 pattern;
  TagType type;
};

DependencyResolver::DependencyResolver(Services services) : services_(services) {}
DependencyResolver::~DependencyResolver() = default;

Result<void> DependencyResolver::add_rule(const std::string& regex, TagType type) {
  auto rule = std::make_unique<Rule>(regex, type);
  if (!rule->pattern.ok())
    return fail(Errc::invalid_argument, "tag_types: regular expression \"{}\": {}", regex,
                rule->pattern.error());
  rules_.push_back(std::move(rule));
  return {};
}

struct DependencyResolver::References {
  std::vector<Digest> all;
  std::vector<Digest> manifests;  ///< those of them that name more
  std::vector<std::pair<std::string, Digest>> aliases;
};

const DependencyResolver::Rule* DependencyResolver::rule_for(const std::string& tag) const {
  const auto rule = std::find_if(rules_.begin(), rules_.end(),
                                 [&tag](const auto& r) { return RE2::PartialMatch(tag, r->pattern); });
  return rule == rules_.end() ? nullptr : rule->get();
}

Task<Result<std::vector<Digest>>> DependencyResolver::resolve(std::string tag, Digest digest) {
  const Rule* const rule = rule_for(tag);
  if (rule == nullptr)
    co_return fail(Errc::internal, "resolve dependencies: no matches for namespace {}", tag);
  std::vector<Digest> dependencies;
  if (rule->type == TagType::docker) {
    auto references = co_await read_manifest(tag, digest);
    if (!references) co_return propagate(references);
    dependencies = std::move(references->all);
  }
  dependencies.push_back(digest);
  co_return dependencies;
}

Task<Result<Closure>> DependencyResolver::close(std::string tag, Digest digest) {
  const Rule* const rule = rule_for(tag);
  if (rule == nullptr)
    co_return fail(Errc::internal, "resolve dependencies: no matches for namespace {}", tag);
  Closure closure;
  std::vector<Digest> manifests{digest};
  std::unordered_set<Digest> seen{digest};
  // The list grows while it is walked.
  for (size_t next = 0; rule->type == TagType::docker && next < manifests.size(); ++next) {
    const Digest manifest = manifests[next];
    auto references = co_await read_manifest(tag, manifest);
    if (!references) co_return propagate(references);
    const std::unordered_set<Digest> deeper(references->manifests.begin(), references->manifests.end());
    for (const Digest& blob : references->all) {
      if (!seen.insert(blob).second) continue;
      (deeper.contains(blob) ? manifests : closure.blobs).push_back(blob);
    }
    closure.aliases.insert(closure.aliases.end(), references->aliases.begin(), references->aliases.end());
    if (seen.size() > max_closure)
      co_return fail(Errc::too_large, "tag {} leads to more than {} blobs", tag, max_closure);
  }
  closure.blobs.insert(closure.blobs.end(), manifests.rbegin(), manifests.rend());
  co_return closure;
}

Task<Result<DependencyResolver::References>> DependencyResolver::read_manifest(std::string tag,
                                                                               Digest digest) {
  auto manifest = co_await download_manifest(tag, digest);
  if (!manifest)
    co_return fail(manifest.error().code, "resolve dependencies: download manifest {}: {}", digest.str(),
                   manifest.error().message);
  auto parsed = registry::parse_manifest(*manifest, "");
  if (!parsed)
    co_return fail(parsed.error().code, "resolve dependencies of {}: parse manifest: {}", tag,
                   parsed.error().message);
  References out;
  for (const ContentDigest& reference : parsed->references) {
    auto known = co_await sha256_of(reference);
    if (!known)
      co_return fail(known.error().code, "resolve dependencies of {}: {}", tag, known.error().message);
    out.all.push_back(*known);
    if (parsed->manifests.contains(reference)) out.manifests.push_back(*known);
    if (!reference.sha256()) out.aliases.emplace_back(alias_tag(reference), *known);
  }
  co_return out;
}

Task<Result<Digest>> DependencyResolver::sha256_of(ContentDigest digest) {
  if (digest.sha256()) co_return *digest.sha256();
  co_return co_await services_.tags.get(alias_tag(digest));
}

Task<Result<std::string>> DependencyResolver::download_manifest(std::string tag, Digest digest) {
  for (unsigned retry = 0;; ++retry) {
    auto done = co_await services_.origins.download_text(tag, digest, max_manifest);
    if (done) co_return done;
    const Errc code = done.error().code;
    const bool may_come = code == Errc::not_found || code == Errc::network;
    if (!may_come || retry == manifest_retries) co_return propagate(done);
    co_await services_.clock.sleep(manifest_backoff.pause(retry, services_.random));
  }
}

Task<Result<void>> DependencyResolver::check(std::string tag, std::vector<Digest> dependencies) {
  std::sort(dependencies.begin(), dependencies.end());
  dependencies.erase(std::unique(dependencies.begin(), dependencies.end()), dependencies.end());
  auto outcome = std::make_shared<Result<void>>();
  const size_t count = dependencies.size();
  std::function<Task<>(size_t)> work = [this, tag, dependencies = std::move(dependencies), outcome](
                                           size_t i) { return check_one(tag, dependencies[i], outcome); };
  const bool all = co_await io::run_parallel(services_.loop, services_.tasks, count, parallel_stats, work);
  if (!all && *outcome) co_return fail(Errc::cancelled, "shutting down");
  co_return *outcome;
}

Task<> DependencyResolver::check_one(std::string tag, Digest dependency,
                                     std::shared_ptr<Result<void>> outcome) {
  if (!*outcome) co_return;  // one failure decides
  auto size = co_await services_.origins.stat(tag, dependency);
  if (size || !*outcome) co_return;
  const Error& error = size.error();
  if (error.code == Errc::not_found) {
    *outcome = fail(Errc::not_found, "cannot upload tag {}, missing dependency {}", tag, dependency.str());
  } else {
    *outcome = fail(error.code, "check dependency {} of tag {}: {}", dependency.str(), tag, error.message);
  }
}

}  // namespace krakend::build_index
