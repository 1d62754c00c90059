#include "registry/aliases.h"

#include <string>
#include <utility>

namespace krakend::registry {

Task<Result<Digest>> Aliases::resolve(ContentDigest name) {
  if (name.sha256()) co_return *name.sha256();
  auto digest = co_await transfer_.get_tag(alias_repository(name), std::string(name.hex()));
  if (!digest && digest.error().code == Errc::not_found)
    co_return fail(Errc::not_found, "nothing was pushed as {}", name.str());
  co_return digest;
}

Task<Result<std::vector<Aliases::Resolved>>> Aliases::resolve_all(std::vector<ContentDigest> names) {
  std::vector<Resolved> all;
  for (ContentDigest& name : names) {
    auto digest = co_await resolve(name);
    if (!digest && digest.error().code != Errc::not_found) co_return propagate(digest);
    all.push_back({std::move(name), digest ? std::optional(*digest) : std::nullopt});
  }
  co_return all;
}

Task<Result<void>> Aliases::put(ContentDigest name, Digest digest) {
  if (name.sha256()) co_return Result<void>{};
  co_return co_await transfer_.put_tag(alias_repository(name), std::string(name.hex()), digest);
}

Task<Result<void>> Aliases::remove(ContentDigest name) {
  if (name.sha256()) co_return Result<void>{};
  auto removed = co_await transfer_.remove_tag(alias_repository(name), std::string(name.hex()));
  if (!removed && removed.error().code == Errc::not_found) co_return Result<void>{};
  co_return removed;
}

}  // namespace krakend::registry
