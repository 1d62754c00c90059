#include "roles/build_index/dependency_resolver.h"

#include <re2/re2.h>

#include <algorithm>

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

Task<Result<std::vector<Digest>>> DependencyResolver::resolve(std::string tag, Digest digest) {
  const auto rule = std::find_if(rules_.begin(), rules_.end(),
                                 [&tag](const auto& r) { return RE2::PartialMatch(tag, r->pattern); });
  if (rule == rules_.end())
    co_return fail(Errc::internal, "resolve dependencies: no matches for namespace {}", tag);
  std::vector<Digest> dependencies;
  if ((*rule)->type == TagType::docker) {
    auto manifest = co_await download_manifest(tag, digest);
    if (!manifest)
      co_return fail(manifest.error().code, "resolve dependencies: download manifest {}: {}", digest.str(),
                     manifest.error().message);
    auto parsed = registry::parse_manifest(*manifest, "");
    if (!parsed)
      co_return fail(parsed.error().code, "resolve dependencies of {}: parse manifest: {}", tag,
                     parsed.error().message);
    for (const ContentDigest& reference : parsed->references) {
      auto known = co_await sha256_of(reference);
      if (!known)
        co_return fail(known.error().code, "resolve dependencies of {}: {}", tag, known.error().message);
      dependencies.push_back(*known);
    }
  }
  dependencies.push_back(digest);
  co_return dependencies;
}

Task<Result<Digest>> DependencyResolver::sha256_of(ContentDigest digest) {
  if (digest.sha256()) co_return *digest.sha256();
  co_return co_await services_.tags.get(fmt::format("{}:{}", alias_repository(digest), digest.hex()));
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
