#include "roles/agent/swarm_transfer.h"

#include <utility>

namespace krakend::agent {

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

Task<Result<std::vector<std::string>>> SwarmTransfer::list_names(std::string prefix) {
  co_return co_await tags_.list(std::move(prefix));
}

}  // namespace krakend::agent
