#include "daemon/config_blocks.h"

namespace krakend::daemon {

void describe(ConfigTable& table, OriginConfig& config) {
  origin::OriginOptions& options = config.options;
  add_castore(table, config);
  add_memory_cache(table, config.store.memory_cache);
  table.bind("backends", make_backends_value(config.backends, "sharded_docker_blob"),
             "where blobs are kept for good, by namespace");
  table.key("metainfogen.piece_lengths", options.piece_lengths, "piece length by size of the blob");
  add_hosts(table, "cluster", options.cluster,
            "all origins of the cluster, this one included; empty: this one alone");
  table.key("hashring.max_replica", options.max_replica, "origins that keep each blob", "origins");
  table.key("hashring.refresh_interval", options.health.interval,
            "between two looks at the health of the other origins");
  table.key("hashring.membership_wait_timeout", config.membership_wait_timeout,
            "how long to wait at start until cluster.dns names this origin");
  table.key("hashring.membership_wait_interval", config.membership_wait_interval,
            "between two questions to the name server then");
  table.key("healthcheck.fails", options.health.fails, "failures in a row until an origin is unhealthy",
            "checks");
  table.key("healthcheck.passes", options.health.passes, "successes in a row until it is healthy again",
            "checks");
  table.key("healthcheck.timeout", options.health.timeout, "how long a check may take");
  add_scheduler(table, options.scheduler);
  add_network_event(table, options.scheduler.network_event);
  add_peer_identity(table, config.peer_ids);
  add_common(table, config);

  table.key("localdb.source", config.database, "SQLite file of the write-backs that are still to be done");
  table.key("writeback.retry_interval", options.write_back.backoff.limit,
            "longest pause between two attempts to write a blob back; the first is 1 s");
  table.key("writeback.num_incoming_workers", options.write_back.parallel,
            "blobs that are written back at once", "blobs");
  table.key("writeback.tasks_max", options.write_back.tasks_max,
            "blobs that may wait for write-back; beyond: uploads get 503", "blobs");
  table.key("blobserver.duplicate_write_back_stagger", options.write_back_stagger,
            "the i-th other owner of a pushed blob writes it back i times this later");
  table.size_key("blobrefresh.size_limit", options.refresh_size_limit,
                 "larger blobs are not fetched from their backend; 0: no limit");

  table.accept("", {"verbose"}, "has none in the reference either");
  add_listener(table, config, "blobserver.listener");
  accept_log(table, "backend_manager.log");
  accept_retry(table, "writeback");
  table.accept_open("auth", "backends that need credentials are not there yet");
  table.reloadable({"scheduler.seeder_tti", "scheduler.leecher_tti", "scheduler.conn_tti",
                    "scheduler.super_seeding", "scheduler.connstate", "scheduler.conn", "scheduler.dispatch",
                    "cluster", "castore.cache_cleanup", "castore.capacity"});
}

}  // namespace krakend::daemon
