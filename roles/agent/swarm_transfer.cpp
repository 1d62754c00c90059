#include "roles/agent/swarm_transfer.h"

#include <utility>

namespace krakend::agent {

std::string_view source_name(p2p::Source source) {
  return source == p2p::Source::disk ? "disk" : "swarm";
}

SwarmTransfer::SwarmTransfer(p2p::Engine& engine, api::TagClient& tags, const Metrics& metrics)
    : ReadOnlyTransfer("an agent is read-only: push to the proxy"),
      engine_(engine),
      tags_(tags),
      pulls_(metrics),
      tags_not_found_(
          metrics.counter({"tags_not_found_total", "Tags that no build-index knows", "tag_not_found"})),
      tag_errors_(
          metrics.counter({"tag_errors_total", "Tags that could not be looked up", "get_tag_error"})) {}

Task<Result<uint64_t>> SwarmTransfer::stat(std::string repo, Digest digest) {
  co_return co_await engine_.size(std::move(repo), digest);
}

Task<Result<registry::OpenedBlob>> SwarmTransfer::open(std::string repo, Digest digest) {
  auto opened = co_await engine_.open(std::move(repo), digest);
  pulls_.opened(opened);
  if (!opened) co_return propagate(opened);
  co_return registry::OpenedBlob{std::move(opened->content), std::string(source_name(opened->source))};
}

Task<Result<Digest>> SwarmTransfer::get_tag(std::string repo, std::string tag) {
  auto digest = co_await tags_.get(fmt::format("{}:{}", repo, tag));
  if (!digest) (digest.error().code == Errc::not_found ? tags_not_found_ : tag_errors_).add();
  co_return digest;
}

Task<Result<std::vector<std::string>>> SwarmTransfer::list_names(std::string prefix) {
  co_return co_await tags_.list(std::move(prefix));
}

}  // namespace krakend::agent
