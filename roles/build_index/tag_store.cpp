#include "roles/build_index/tag_store.h"

#include "krakend/core/units.h"

namespace krakend::build_index {
namespace {

/// A tag's content is 71 bytes; more than this is not a tag.
constexpr uint64_t max_tag_content = 1 * KiB;

}  // namespace

Result<backend::BackendPtr> TagStore::backend_for(const std::string& ns) const {
  auto found = backends_.find(ns);
  // Not "no such tag", but a configuration that has no place for it (contract http-api §6.4).
  if (!found) return fail(Errc::internal, "no backend for {}: {}", ns, found.error().message);
  return found;
}

Task<Result<void>> TagStore::put(std::string tag, Digest digest) {
  auto backend = backend_for(tag);
  if (!backend) co_return propagate(backend);
  co_return co_await (*backend)->put(tag, digest.str());
}

Task<Result<Digest>> TagStore::get(std::string tag) {
  auto backend = backend_for(tag);
  if (!backend) co_return propagate(backend);
  auto text = co_await (*backend)->get(tag, max_tag_content);
  if (!text) co_return propagate(text);
  auto digest = Digest::parse(*text);
  if (!digest) co_return fail(Errc::corrupt, "tag {} in the backend: {}", tag, digest.error().message);
  co_return digest;
}

Task<Result<void>> TagStore::remove(std::string tag) {
  auto backend = backend_for(tag);
  if (!backend) co_return propagate(backend);
  co_return co_await (*backend)->remove(tag);
}

Task<Result<std::vector<std::string>>> TagStore::list(std::string prefix) {
  auto backend = backend_for(prefix);
  if (!backend) co_return propagate(backend);
  // Backends join the prefix to their root, where surplus slashes mean nothing (contract core-formats §21).
  const size_t first = prefix.find_first_not_of('/');
  const size_t last = prefix.find_last_not_of('/');
  std::string clean = first == std::string::npos ? std::string() : prefix.substr(first, last - first + 1);
  co_return co_await (*backend)->list(std::move(clean));
}

}  // namespace krakend::build_index
