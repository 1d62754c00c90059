#include "daemon/config_blocks.h"

namespace krakend::daemon {

void describe(ConfigTable& table, AgentConfig& config) {
  agent::AgentOptions& options = config.options;
  table.key("store.cache_dir", config.store.cache_dir, "where complete blobs are kept");
  table.key("store.download_dir", config.store.download_dir, "where blobs that are still arriving are kept");
  add_scheduler(table, options.scheduler);
  table.key("serve_unverified_ranges", options.scheduler.serve_unverified_ranges,
            "a Range of a blob that is still arriving is served when its pieces' CRC-32 is right");
  add_network_event(table, options.scheduler.network_event);
  add_peer_identity(table, config.peer_ids);
  add_hosts(table, "tracker.hosts", options.trackers, "trackers to announce to");
  add_hosts(table, "build_index.hosts", options.build_indexes, "build-indexes to resolve tags with");
  add_hosts(table, "origin.hosts", options.origins, "origins that are asked while no tracker answers");
  config.answer_timeout = 10min;
  add_common(table, config);

  table.key("store.download_cleanup.disabled", config.eviction.partial_disabled,
            "partial blobs stay until they are wanted again");
  table.key("store.download_cleanup.tti", config.eviction.partial_tti,
            "a partial blob that gets no piece for this long goes");
  table.key("store.download_cleanup.ttl", config.eviction.partial_ttl,
            "a partial blob that is older goes; 0: never");
  accept_cleanup(table, "store.download_cleanup");
  add_cleanup(table, "store.cache_cleanup", config.eviction);
  table.accept("store", {"read_part_size", "write_part_size"}, "bytes move in steps of the system's choice");
  accept_passive_health(table, "tracker.healthcheck");
  accept_ring(table, "tracker.hashring");
  accept_passive_health(table, "build_index.healthcheck");
  add_listener(table, config, "registry.docker.http");
  table.accept_open("registry.docker", "the registry is krakend's own");
  table.bind("allowed_cidrs", make_address_ranges_value(config.allowed_cidrs),
             "addresses that may use the registry, others get 403; an empty list: nobody; absent: everybody");
  table.key("registry_backup", config.registry_backup,
            "host:port of a registry (plain HTTP) that is asked for what cannot be had here");
  table.accept("", {"agentserver.readiness_cache_ttl"}, "has none in the reference either");
  table.accept("container_runtime",
               {"docker.docker_host", "docker.docker_scheme", "docker.docker_version", "containerd.address"},
               "preloading is not there yet");
  table.accept("docker_daemon", {"docker_host", "docker_scheme", "docker_version"},
               "preloading is not there yet");
  table.reloadable({"scheduler.seeder_tti", "scheduler.leecher_tti", "scheduler.conn_tti",
                    "scheduler.super_seeding", "scheduler.connstate", "scheduler.conn", "scheduler.dispatch",
                    "serve_unverified_ranges", "tracker.hosts", "build_index.hosts", "store.cache_cleanup",
                    "store.download_cleanup"});
}

}  // namespace krakend::daemon
