#pragma once

#include <string>
#include <string_view>

#include "daemon/config.h"

namespace krakend::daemon {

// The blocks that several components share (contract config-ops §6). `at` is the path of the block.

/// zap, metrics, nginx, tls: every component has these.
void add_common(ConfigTable& table, CommonConfig& config);
/// A host list that this version uses: static only.
void add_hosts(ConfigTable& table, const std::string& at, cluster::HostsOptions& hosts, std::string meaning);
void accept_active_health(ConfigTable& table, const std::string& at);
void accept_passive_health(ConfigTable& table, const std::string& at);
void add_memory_cache(ConfigTable& table, storage::MemoryCacheOptions& cache);
/// Where nothing is fetched from backends it has no effect.
void accept_memory_cache(ConfigTable& table);
void accept_ring(ConfigTable& table, const std::string& at);
void accept_retry(ConfigTable& table, const std::string& at);
void add_cleanup(ConfigTable& table, const std::string& at, storage::EvictionOptions& eviction);
void accept_cleanup(ConfigTable& table, const std::string& at);
void add_listener(ConfigTable& table, CommonConfig& config, const std::string& at);
void accept_log(ConfigTable& table, const std::string& at);
void add_castore(ConfigTable& table, CommonConfig& config);
void add_scheduler(ConfigTable& table, p2p::EngineOptions& engine);
void add_network_event(ConfigTable& table, p2p::NetworkEventOptions& events);
void add_peer_identity(ConfigTable& table, PeerIdFactory& factory);

}  // namespace krakend::daemon
