#include "roles/agent/swarm_transfer.h"

#include <utility>

#include "krakend/registry/tag_names.h"

namespace krakend::agent {

namespace {

tl::unexpected<Error> read_only() {
  return fail(Errc::unavailable, "an agent is read-only: push to the proxy");
}

}  // namespace

std::string_view source_name(p2p::Source source) {
  return source == p2p::Source::disk ? "disk" : "swarm";
}

Task<Result<uint64_t>> SwarmTransfer::stat(std::string repo, Digest digest) {
  co_return co_await engine_.size(std::move(repo), digest);
}

Task<Result<registry::OpenedBlob>> SwarmTransfer::open(std::string repo, Digest digest) {
  auto opened = co_await engine_.open(std::move(repo), digest);
  if (!opened) co_return propagate(opened);
  co_return registry::OpenedBlob{std::move(opened->content), std::string(source_name(opened->source))};
}

Task<Result<Digest>> SwarmTransfer::get_tag(std::string repo, std::string tag) {
  co_return co_await tags_.get(fmt::format("{}:{}", repo, tag));
}

Task<Result<std::vector<std::string>>> SwarmTransfer::list_tags(std::string repo) {
  auto names = co_await tags_.list(registry::tag_prefix(repo));
  if (!names) co_return propagate(names);
  auto tags = registry::tags_of(repo, *names);
  if (tags.empty()) co_return fail(Errc::not_found, "no tags in repository {}", repo);
  co_return tags;
}

Task<Result<std::vector<std::string>>> SwarmTransfer::list_all() {
  co_return co_await tags_.list("");
}

Task<Result<void>> SwarmTransfer::put_blob(std::string /*repo*/, Digest /*digest*/,
                                           storage::UploadPtr /*upload*/) {
  co_return read_only();
}

Task<Result<void>> SwarmTransfer::put_tag(std::string /*repo*/, std::string /*tag*/, Digest /*digest*/) {
  co_return read_only();
}

Task<Result<storage::UploadPtr>> SwarmTransfer::create_upload(std::string /*owner*/) {
  co_return read_only();
}

Task<Result<void>> SwarmTransfer::remove_tag(std::string /*repo*/, std::string /*tag*/) {
  co_return read_only();
}

Task<Result<void>> SwarmTransfer::remove_blob(std::string /*repo*/, Digest /*digest*/) {
  co_return read_only();
}

}  // namespace krakend::agent
