#include "registry/manifest_store.h"

#include <span>
#include <utility>

#include "krakend/core/hex.h"

namespace krakend::registry {

Task<Result<std::string>> ManifestStore::read(io::ContentPtr content) {
  const uint64_t size = content->size();
  if (size > size_max_) {
    co_return fail(Errc::not_found, "the blob has {} bytes: a manifest has at most {}", size, size_max_);
  }
  auto ready = co_await io::await_ready(*content, 0, size);
  if (!ready) co_return propagate(ready);
  io::FilePtr file = content->file();
  co_return co_await loop_.offload([&]() -> Result<std::string> {
    std::string text(size, '\0');
    auto count = file->read_at(0, std::as_writable_bytes(std::span(text.data(), text.size())));
    if (!count) return propagate(count);
    if (*count != size) return fail(Errc::io, "the manifest's file ends at byte {} of {}", *count, size);
    return text;
  });
}

Task<Result<std::string>> ManifestStore::load(std::string name, Digest digest) {
  auto size = co_await transfer_.stat(name, digest);
  if (!size) co_return propagate(size);
  if (*size > size_max_) co_return fail(Errc::not_found, "{} is larger than a manifest may be", digest.str());
  auto opened = co_await transfer_.open(std::move(name), digest);
  if (!opened) co_return propagate(opened);
  co_return co_await read(opened->content);
}

Task<Result<void>> ManifestStore::write(std::string name, Digest digest, std::string text) {
  auto upload = co_await transfer_.create_upload({});
  if (!upload) co_return propagate(upload);
  auto sink = (*upload)->writer(0);
  io::ByteSink* writer = sink.get();
  const std::string* bytes = &text;
  auto written = co_await loop_.offload([&] { return writer->write(as_bytes(*bytes)); });
  sink.reset();
  if (!written) {
    co_await (*upload)->discard();
    co_return written;
  }
  co_return co_await transfer_.put_blob(std::move(name), digest, std::move(*upload));
}

}  // namespace krakend::registry
