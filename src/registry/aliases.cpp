#include "registry/aliases.h"

#include <string>

namespace krakend::registry {

Task<Result<Digest>> Aliases::resolve(ContentDigest name) {
  if (name.sha256()) co_return *name.sha256();
  auto digest = co_await transfer_.get_tag(alias_repository(name), std::string(name.hex()));
  if (!digest && digest.error().code == Errc::not_found)
    co_return fail(Errc::not_found, "nothing was pushed as {}", name.str());
  co_return digest;
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
