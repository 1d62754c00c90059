#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "krakend/api/clients.h"
#include "krakend/core/metrics.h"
#include "krakend/p2p/engine.h"
#include "krakend/registry/registry.h"
#include "roles/agent/pull_counters.h"

namespace krakend::agent {

/// Value of X-Krakend-Source.
std::string_view source_name(p2p::Source source);

/// The agent's registry reads blobs from its disk or the swarm, with the repository as namespace, and tags
/// from the build-index. It never writes. Loop thread.
class SwarmTransfer final : public registry::ReadOnlyTransfer {
 public:
  SwarmTransfer(p2p::Engine& engine, api::TagClient& tags, const Metrics& metrics);

  Task<Result<uint64_t>> stat(std::string repo, Digest digest) override;
  Task<Result<registry::OpenedBlob>> open(std::string repo, Digest digest) override;
  Task<Result<Digest>> get_tag(std::string repo, std::string tag) override;
  Task<Result<std::vector<std::string>>> list_names(std::string prefix) override;

 private:
  p2p::Engine& engine_;
  api::TagClient& tags_;
  PullCounters pulls_;
  Counter tags_not_found_;
  Counter tag_errors_;
};

}  // namespace krakend::agent
