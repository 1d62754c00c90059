#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "krakend/api/services.h"
#include "krakend/cluster/hosts.h"
#include "krakend/io/address_range.h"
#include "krakend/p2p/engine.h"
#include "krakend/registry/registry.h"
#include "krakend/storage/blob_store.h"

namespace krakend::agent {

struct AgentOptions {
  io::Address registry_listen;
  io::Address server_listen;
  /// Who may use the registry; nullopt: everybody.
  std::optional<std::vector<io::AddressRange>> allowed_cidrs;
  /// Asked for what the registry of this agent has not.
  std::optional<io::Address> registry_backup;
  /// An existing directory; for what passes through from there.
  std::string spool_dir;
  cluster::HostsOptions trackers;
  cluster::HostsOptions build_indexes;
  /// Asked while no tracker answers; empty: nobody is.
  cluster::HostsOptions origins;
  p2p::EngineSelf p2p;
  p2p::EngineOptions scheduler;
};

/// The registry on each host: answers pulls from the local store or the swarm, and seeds what it has
/// (contract http-api §7, §9).
class Agent {
 public:
  Agent(api::Services services, storage::BlobStore& store, AgentOptions options);
  ~Agent();
  struct Bound {
    io::Address registry;
    io::Address server;
    io::Address p2p;
  };
  Result<Bound> start();
  /// What may change while it runs: the scheduler and the fixed host lists.
  void configure(const AgentOptions& options);
  /// Takes no more peers; the pieces that were asked for are still sent.
  void drain();
  Task<> drained(Duration limit);
  Task<> stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace krakend::agent
