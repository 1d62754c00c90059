#include "krakend/registry/registry.h"
#include "krakend/registry/tag_names.h"

namespace krakend::registry {

Task<Result<std::vector<std::string>>> Transfer::list_tags(std::string repo) {
  auto names = co_await list_names(tag_prefix(repo));
  if (!names) co_return propagate(names);
  auto tags = tags_of(repo, *names);
  if (tags.empty()) co_return fail(Errc::not_found, "no tags in repository {}", repo);
  co_return tags;
}

Task<Result<void>> ReadOnlyTransfer::put_blob(std::string /*repo*/, Digest /*digest*/,
                                              storage::UploadPtr /*upload*/) {
  co_return refuse();
}

Task<Result<void>> ReadOnlyTransfer::put_tag(std::string /*repo*/, std::string /*tag*/, Digest /*digest*/) {
  co_return refuse();
}

Task<Result<storage::UploadPtr>> ReadOnlyTransfer::create_upload(std::string /*owner*/) {
  co_return refuse();
}

Task<Result<void>> ReadOnlyTransfer::remove_tag(std::string /*repo*/, std::string /*tag*/) {
  co_return refuse();
}

Task<Result<void>> ReadOnlyTransfer::remove_blob(std::string /*repo*/, Digest /*digest*/) {
  co_return refuse();
}

}  // namespace krakend::registry
