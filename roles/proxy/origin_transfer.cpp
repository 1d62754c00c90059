#include "roles/proxy/origin_transfer.h"

#include <utility>

#include "krakend/api/deletions.h"

namespace krakend::proxy {

Task<Result<uint64_t>> OriginTransfer::stat(std::string repo, Digest digest) {
  auto size = co_await origins_.stat(std::move(repo), digest);
  if (size || size.error().code == Errc::not_found) co_return size;
  auto local = co_await store_.size(digest);
  if (local) co_return local;
  // An origin that answers but cannot ask its backend still takes uploads: the push goes on (contract
  // http-api §9.3).
  const bool answered = size.error().http_status != 0;
  co_return fail(answered ? Errc::not_found : Errc::unavailable, "the origins cannot tell: {}",
                 size.error().message);
}

Task<Result<registry::OpenedBlob>> OriginTransfer::open(std::string repo, Digest digest) {
  auto local = co_await store_.open(digest);
  if (local) {
    counters_.served.add((*local)->size());
    co_return registry::OpenedBlob{std::move(*local), "disk"};
  }
  counters_.downloads.add();
  auto fetched = co_await downloads_.fetch(std::move(repo), digest);
  if (!fetched) {
    counters_.download_failures.add();
    co_return propagate(fetched);
  }
  counters_.served.add((*fetched)->size());
  co_return registry::OpenedBlob{std::move(*fetched), "origin"};
}

Task<Result<Digest>> OriginTransfer::get_tag(std::string repo, std::string tag) {
  co_return co_await tags_.get(fmt::format("{}:{}", repo, tag));
}

Task<Result<std::vector<std::string>>> OriginTransfer::list_names(std::string prefix) {
  co_return co_await tags_.list(std::move(prefix));
}

Task<Result<void>> OriginTransfer::put_tag(std::string repo, std::string tag, Digest digest) {
  auto put = co_await tags_.put(fmt::format("{}:{}", repo, tag), digest, true);
  counters_.tagged(put.has_value());
  co_return put;
}

Task<Result<void>> OriginTransfer::remove_tag(std::string repo, std::string tag) {
  co_return co_await tags_.remove(fmt::format("{}:{}", repo, tag));
}

Task<Result<void>> OriginTransfer::remove_blob(std::string repo, Digest digest) {
  // Pushed blobs lie in the backend of the push namespace; ones from elsewhere may lie in that of the
  // repository.
  std::vector<std::string> namespaces{std::string(api::push_namespace)};
  if (repo != api::push_namespace) namespaces.push_back(std::move(repo));
  auto erased = co_await origins_.erase(std::move(namespaces), digest);
  if (!erased) co_return erased;
  auto dropped = co_await drop_copy(digest);
  if (!dropped) co_return dropped;
  co_return co_await tags_.put(api::deletion_note(clock_.wall(), digest), digest, false);
}

Task<Result<void>> OriginTransfer::drop_copy(Digest digest) {
  auto removed = co_await store_.remove(digest);
  if (!removed && removed.error().code == Errc::not_found) co_return Result<void>{};
  co_return removed;
}

Task<Result<OriginTransfer::Stored>> OriginTransfer::store_locally(Digest digest, storage::UploadPtr upload) {
  const uint64_t piece_length = piece_length_(upload->size());
  auto committed = co_await upload->commit(digest, piece_length);
  if (committed) co_return Stored{std::move(*committed), true};
  if (committed.error().code != Errc::already_exists) co_return propagate(committed);
  auto present = co_await store_.open(digest);
  if (!present) co_return propagate(present);
  co_return Stored{std::move(*present), false};
}

Task<Result<void>> OriginTransfer::put_blob(std::string repo, Digest digest, storage::UploadPtr upload) {
  counters_.uploads.add();
  auto given = co_await give_to_origins(std::move(repo), digest, std::move(upload));
  counters_.uploaded(given.has_value());
  co_return given;
}

Task<Result<void>> OriginTransfer::give_to_origins(std::string repo, Digest digest,
                                                   storage::UploadPtr upload) {
  // Asked before the commit: in one process with an origin the commit makes the blob the origin's as well.
  const auto size = co_await origins_.stat(std::move(repo), digest);
  if (size) {
    auto computed = co_await upload->digest();
    co_await upload->discard();
    if (!computed) co_return propagate(computed);
    if (*computed == digest) co_return Result<void>{};
    co_return fail(Errc::corrupt, "computed digest {} doesn't match expected value {}", computed->str(),
                   digest.str());
  }
  auto stored = co_await store_locally(digest, std::move(upload));
  if (!stored) co_return propagate(stored);
  auto uploaded = co_await origins_.upload(std::string(api::push_namespace), digest, stored->blob->file(),
                                           stored->blob->size());
  if (uploaded) co_return uploaded;
  if (stored->created) {
    auto removed = co_await store_.remove(digest);
    if (!removed) log_.warn("local copy of {} stays: {}", digest.str(), removed.error().message);
  }
  co_return fail(Error{uploaded.error().code == Errc::not_found ? Errc::internal : uploaded.error().code,
                       fmt::format("upload to the origins: {}", uploaded.error().message),
                       uploaded.error().http_status});
}

}  // namespace krakend::proxy
