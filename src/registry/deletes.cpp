#include "registry/deletes.h"

#include "krakend/registry/manifest.h"
#include "registry/errors.h"

namespace krakend::registry {

namespace {

http::Response accepted() {
  http::Response response;
  response.status = 202;
  response.content_length = 0;
  return response;
}

}  // namespace

Task<http::Response> DeleteEndpoint::tag(Target target) {
  auto removed = co_await s_.transfer.remove_tag(target.name, target.tag);
  if (!removed) {
    co_return transfer_error(removed.error(), code::manifest_unknown, json_detail("Tag", target.tag));
  }
  auto kept = co_await s_.repositories.remember(target.name);
  if (!kept) co_return transfer_error(kept.error(), code::name_unknown);
  log_.info("deleted tag {}:{}", target.name, target.tag);
  co_return accepted();
}

Task<http::Response> DeleteEndpoint::manifest(Target target) {
  if (!target.digest) co_return co_await tag(std::move(target));
  const std::string detail = json_detail("Digest", target.named->str());
  auto size = co_await s_.transfer.stat(target.name, *target.digest);
  if (!size) co_return transfer_error(size.error(), code::manifest_unknown, detail);
  auto unlinked = co_await unlink(target);
  if (!unlinked) co_return transfer_error(unlinked.error(), code::manifest_unknown, detail);
  auto user = co_await remove_unused(target);
  if (!user) co_return transfer_error(user.error(), code::manifest_unknown, detail);
  if (*user)
    log_.info("deleted manifest {}@{}; its content stays: {} refers to it", target.name, target.named->str(),
              **user);
  else
    log_.info("deleted manifest {}@{} and its content", target.name, target.named->str());
  co_return accepted();
}

Task<http::Response> DeleteEndpoint::blob(Target target) {
  const std::string detail = json_quote(target.named->str());
  auto size = co_await s_.transfer.stat(target.name, *target.digest);
  if (!size) co_return transfer_error(size.error(), code::blob_unknown, detail);
  auto user = co_await remove_unused(target);
  if (!user) co_return transfer_error(user.error(), code::blob_unknown, detail);
  if (*user) {
    http::Response response = registry_error(
        405, code::denied, fmt::format("{} is in use: delete {} first", target.named->str(), **user), detail);
    response.headers.set("Allow", "GET, HEAD");
    co_return response;
  }
  log_.info("deleted blob {} of {} bytes", target.named->str(), *size);
  co_return accepted();
}

Task<Result<void>> DeleteEndpoint::unlink(const Target& target) {
  auto tags = co_await s_.transfer.list_tags(target.name);
  if (!tags && tags.error().code != Errc::not_found) co_return propagate(tags);
  if (!tags) tags = std::vector<std::string>();
  bool untagged = false;
  for (const std::string& tag : *tags) {
    auto current = co_await s_.transfer.get_tag(target.name, tag);
    if (!current && current.error().code != Errc::not_found) co_return propagate(current);
    if (!current || *current != *target.digest) continue;
    auto removed = co_await s_.transfer.remove_tag(target.name, tag);
    if (!removed && removed.error().code != Errc::not_found) co_return removed;
    log_.info("deleted tag {}:{} with its manifest {}", target.name, tag, target.named->str());
    untagged = true;
  }
  if (untagged) {
    auto kept = co_await s_.repositories.remember(target.name);
    if (!kept) co_return kept;
  }
  auto text = co_await s_.store.load(target.name, *target.digest);
  if (!text && text.error().code == Errc::not_found) co_return Result<void>{};
  if (!text) co_return propagate(text);
  const std::string* document = &*text;
  auto manifest = co_await s_.loop.offload([&] { return parse_manifest(*document, ""); });
  if (!manifest || !manifest->subject) co_return Result<void>{};
  std::vector<ContentDigest> names{*target.digest, *target.named};
  co_return co_await s_.referrers.remove(target.name, *manifest->subject, std::move(names));
}

Task<Result<std::optional<std::string>>> DeleteEndpoint::remove_unused(const Target& target) {
  const BlobGuard::Doom doom(s_.guard, *target.digest);
  if (doom.refused()) co_return std::optional<std::string>("a push that is under way");
  auto user = co_await s_.usage.find_user(*target.digest);
  if (!user || *user) co_return user;
  auto removed = co_await s_.transfer.remove_blob(target.name, *target.digest);
  if (removed) removed = co_await s_.aliases.remove(*target.named);
  if (!removed) co_return propagate(removed);
  co_return std::optional<std::string>();
}

}  // namespace krakend::registry
