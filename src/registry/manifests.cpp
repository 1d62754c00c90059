#include "registry/manifests.h"

#include <unordered_set>
#include <utility>

#include "registry/errors.h"
#include "registry/ranges.h"

namespace krakend::registry {

namespace {

/// Missing blobs named in one answer.
constexpr size_t reported_missing_max = 100;

std::string unknown_detail(const Target& target) {
  return target.named ? json_detail("Digest", target.named->str()) : json_detail("Tag", target.tag);
}

std::string reference_text(const Target& target) {
  return target.named ? target.named->str() : target.tag;
}

http::Response manifest_head(const Digest& digest) {
  http::Response response;
  response.headers.set("Docker-Content-Digest", digest.str());
  response.headers.set("Etag", fmt::format("\"{}\"", digest.str()));
  return response;
}

http::Response body_error(const Error& error, uint64_t size_max) {
  if (error.code == Errc::too_large) {
    return registry_error(413, code::manifest_invalid,
                          fmt::format("a manifest has at most {} bytes", size_max));
  }
  http::Response response = registry_error(400, code::manifest_invalid, error.message);
  response.close = true;
  return response;
}

http::Response manifest_created(const std::string& repo, const ContentDigest& name,
                                const std::optional<ContentDigest>& subject) {
  http::Response response;
  response.status = 201;
  response.headers.set("Location", fmt::format("/v2/{}/manifests/{}", repo, name.str()));
  response.headers.set("Docker-Content-Digest", name.str());
  if (subject) response.headers.set("OCI-Subject", subject->str());
  response.content_length = 0;
  return response;
}

}  // namespace

Task<ManifestEndpoint::Inspected> ManifestEndpoint::inspect(const std::string& text, const std::string& type,
                                                            const std::optional<ContentDigest>& named) {
  co_return co_await loop_.offload([&] {
    const Digest digest = Digest::of(text);
    const bool by_alias = named && !named->sha256();
    return Inspected{digest, by_alias ? ContentDigest::sha512_of(text) : ContentDigest(digest),
                     parse_manifest(text, type)};
  });
}

Task<Result<Digest>> ManifestEndpoint::resolve(Target target) {
  if (target.digest) co_return *target.digest;
  auto digest = co_await transfer_.get_tag(target.name, target.tag);
  if (!digest && digest.error().code == Errc::not_found) {
    co_return fail(Errc::not_found, "no tag \"{}\" in repository {}", target.tag, target.name);
  }
  co_return digest;
}

Task<Result<bool>> ManifestEndpoint::belongs(const Target& target, Digest digest, const std::string& text) {
  if (!target.named || !transfer_.writable()) co_return true;
  const auto subject = co_await loop_.offload([&] { return manifest_subject(text); });
  if (!subject) co_return true;
  std::vector<ContentDigest> names{*target.named, ContentDigest(digest)};
  co_return co_await referrers_.lists(target.name, *subject, std::move(names));
}

Task<http::Response> ManifestEndpoint::get(http::Request& request, Target target) {
  const std::string detail = unknown_detail(target);
  auto digest = co_await resolve(target);
  if (!digest) co_return transfer_error(digest.error(), code::manifest_unknown, detail);
  auto opened = co_await transfer_.open(target.name, *digest);
  if (!opened) co_return transfer_error(opened.error(), code::manifest_unknown, detail);

  http::Response response = manifest_head(*digest);
  if (etag_matches(request.headers.joined("If-None-Match"), *digest)) {
    response.status = 304;
    co_return response;
  }
  auto text = co_await store_.read(opened->content);
  if (!text) co_return transfer_error(text.error(), code::manifest_unknown, detail);
  const std::string* document = &*text;
  const auto type = co_await loop_.offload([&] { return manifest_media_type(*document); });
  if (!type) {
    co_return registry_error(404, code::manifest_unknown, fmt::format("{} is not a manifest", digest->str()),
                             detail);
  }
  auto belonging = co_await belongs(target, *digest, *text);
  if (!belonging) co_return transfer_error(belonging.error(), code::manifest_unknown, detail);
  if (!*belonging) {
    co_return registry_error(404, code::manifest_unknown,
                             fmt::format("{} was not pushed to repository {}", digest->str(), target.name),
                             detail);
  }
  response.headers.set("Content-Type", *type);
  if (!opened->source.empty()) response.headers.set("X-Krakend-Source", opened->source);
  response.body = std::move(*text);
  co_return response;
}

Task<Result<std::vector<Aliases::Resolved>>> ManifestEndpoint::all_references(std::string name,
                                                                              Manifest manifest) {
  auto references = co_await aliases_.resolve_all(std::move(manifest.references));
  if (!references) co_return references;
  std::vector<Digest> children;
  for (const Aliases::Resolved& reference : *references) {
    if (reference.digest && manifest.manifests.contains(reference.name))
      children.push_back(*reference.digest);
  }
  const std::unordered_set<Digest> direct(children.begin(), children.end());
  auto below = co_await reader_.below(name, std::move(children));
  if (!below) co_return propagate(below);
  for (const Digest& digest : *below) {
    if (!direct.contains(digest)) references->push_back({ContentDigest(digest), digest});
  }
  co_return references;
}

Task<std::optional<http::Response>> ManifestEndpoint::check_references(
    std::string name, std::vector<Aliases::Resolved> references) {
  std::vector<ErrorEntry> missing;
  for (const Aliases::Resolved& reference : references) {
    const std::string& text = reference.name.str();
    if (reference.digest) {
      auto size = co_await transfer_.stat(name, *reference.digest);
      if (size) continue;
      if (size.error().code != Errc::not_found)
        co_return transfer_error(size.error(), code::manifest_blob_unknown, json_quote(text));
    }
    if (missing.size() == reported_missing_max) break;
    missing.push_back({code::manifest_blob_unknown,
                       fmt::format("{} is not in the registry: push it before the manifest", text),
                       json_quote(text)});
  }
  if (missing.empty()) co_return std::nullopt;
  co_return registry_errors(400, missing);
}

Task<Result<void>> ManifestEndpoint::publish(Target target, Digest digest, Referrer manifest,
                                             std::optional<ContentDigest> subject) {
  auto stored = co_await store_.write(target.name, digest, manifest.text);
  if (!stored) co_return stored;
  Result<void> visible;
  if (target.named)
    visible = co_await aliases_.put(*target.named, digest);
  else
    visible = co_await transfer_.put_tag(target.name, target.tag, digest);
  if (!visible) co_return visible;
  if (!subject) co_return Result<void>{};
  co_return co_await referrers_.add(target.name, *subject, std::move(manifest));
}

Task<http::Response> ManifestEndpoint::put(http::Request& request, Target target) {
  auto text = co_await request.body->text(store_.size_max());
  if (!text) co_return body_error(text.error(), store_.size_max());
  const std::string type(request.headers.get("Content-Type"));
  const Inspected inspected = co_await inspect(*text, type, target.named);
  if (target.named && inspected.name != *target.named) {
    co_return registry_error(
        400, code::digest_invalid,
        fmt::format("the manifest's digest is {}, not {}", inspected.name.str(), target.named->str()),
        json_detail("Digest", target.named->str()));
  }
  if (!inspected.manifest)
    co_return registry_error(400, code::manifest_invalid, inspected.manifest.error().message);
  auto references = co_await all_references(target.name, *inspected.manifest);
  if (!references) co_return transfer_error(references.error(), code::manifest_blob_unknown);
  std::vector<Digest> held{inspected.digest};
  for (const Aliases::Resolved& reference : *references) {
    if (reference.digest) held.push_back(*reference.digest);
  }
  co_await guard_.undoomed(held);
  const BlobGuard::Pins pins(guard_, std::move(held));
  if (auto missing = co_await check_references(target.name, std::move(*references))) {
    co_return std::move(*missing);
  }
  const auto subject = inspected.manifest->subject;
  Referrer manifest{inspected.name, inspected.manifest->media_type, std::move(*text)};
  auto published = co_await publish(target, inspected.digest, std::move(manifest), subject);
  if (!published) co_return transfer_error(published.error(), code::name_unknown);
  log_.info("pushed manifest {}@{} as {}", target.name, inspected.digest.str(), reference_text(target));
  co_return manifest_created(target.name, inspected.name, subject);
}

}  // namespace krakend::registry
