#include "roles/proxy/image_reader.h"

#include <utility>

namespace krakend::proxy {

Result<void> ImageReader::Collection::add(const Blob& blob) {
  if (!seen.insert(blob.digest).second) return {};
  if (blobs.size() >= blobs_max)
    return fail(Errc::too_large, "the image has more than {} blobs: pull it instead", blobs_max);
  blobs.push_back(blob);
  return {};
}

Task<Result<Digest>> ImageReader::find(ImageName image) {
  const TimePoint begin = parts_.clock.now();
  auto digest = co_await parts_.tags.get(image.full());
  parts_.counters.tag_seconds.observe(to_seconds(parts_.clock.now() - begin));
  if (!digest) parts_.counters.tag_errors.add();
  co_return digest;
}

Task<Result<ImageReader::Loaded>> ImageReader::load(std::string ns, Digest digest) {
  const TimePoint begin = parts_.clock.now();
  auto text = co_await parts_.origins.download_text(std::move(ns), digest, manifest_size_max_);
  parts_.counters.manifest_seconds.observe(to_seconds(parts_.clock.now() - begin));
  if (!text) {
    parts_.counters.manifest_errors.add();
    co_return fail(text.error().code, "manifest {}: {}", digest.str(), text.error().message);
  }
  const std::string* document = &*text;
  auto manifest = co_await parts_.loop.offload([&] { return registry::parse_manifest(*document, ""); });
  if (!manifest) {
    parts_.counters.manifest_errors.add();
    co_return fail(manifest.error().code, "manifest {}: {}", digest.str(), manifest.error().message);
  }
  co_return Loaded{std::move(*manifest), text->size()};
}

/// Content of other algorithms is known to the origins by its SHA-256, which a tag tells.
Task<Result<Digest>> ImageReader::sha256_of(ContentDigest name) {
  if (name.sha256()) co_return *name.sha256();
  co_return co_await parts_.tags.get(fmt::format("{}:{}", alias_repository(name), name.hex()));
}

Task<Result<void>> ImageReader::add_references(const registry::Manifest& manifest, Collection& out,
                                               std::vector<Digest>* children) {
  for (const ContentDigest& name : manifest.references) {
    auto digest = co_await sha256_of(name);
    if (!digest) co_return fail(digest.error().code, "{}: {}", name.str(), digest.error().message);
    const auto size = manifest.sizes.find(name);
    auto added = out.add({*digest, size == manifest.sizes.end() ? 0 : size->second});
    if (!added) co_return added;
    if (children != nullptr && manifest.manifests.contains(name)) children->push_back(*digest);
  }
  co_return Result<void>{};
}

Task<Result<std::vector<ImageReader::Blob>>> ImageReader::blobs(std::string ns, Digest manifest) {
  auto top = co_await load(ns, manifest);
  if (!top) co_return propagate(top);
  Collection out;
  std::vector<Digest> children;
  auto added = out.add({manifest, top->size});
  if (added) added = co_await add_references(top->manifest, out, &children);
  if (!added) co_return propagate(added);
  for (const Digest& child : children) {
    auto loaded = co_await load(ns, child);
    if (!loaded) co_return propagate(loaded);
    added = co_await add_references(loaded->manifest, out, nullptr);
    if (!added) co_return propagate(added);
  }
  co_return std::move(out.blobs);
}

Task<Result<std::vector<ImageReader::Blob>>> ImageReader::references(std::string ns, Digest manifest) {
  auto loaded = co_await load(std::move(ns), manifest);
  if (!loaded) co_return propagate(loaded);
  Collection out;
  auto added = co_await add_references(loaded->manifest, out, nullptr);
  if (!added) co_return propagate(added);
  co_return std::move(out.blobs);
}

}  // namespace krakend::proxy
