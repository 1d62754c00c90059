#include "daemon/config_blocks.h"

namespace krakend::daemon {

void describe(ConfigTable& table, OriginConfig& config) {
  origin::OriginOptions& options = config.options;
  add_castore(table, config.store);
  table.bind("backends", make_backends_value(config.backends, "sharded_docker_blob"),
             "where blobs are kept for good, by namespace");
  table.key("metainfogen.piece_lengths", options.piece_lengths, "piece length by size of the blob");
  add_hosts(table, "cluster", options.cluster,
            "all origins of the cluster, this one included; empty: this one alone");
  table.key("hashring.max_replica", options.max_replica, "origins that keep each blob", "origins");
  add_scheduler(table, options.scheduler);
  add_peer_identity(table, config.peer_ids);
  add_common(table, config);

  accept_ring(table, "hashring");
  table.accept("healthcheck", {"fails", "passes", "timeout"});
  table.accept(
      "", {"verbose", "blobrefresh.size_limit", "localdb.source", "blobserver.duplicate_write_back_stagger"});
  accept_listener(table, "blobserver.listener");
  accept_log(table, "backend_manager.log");
  accept_retry(table, "writeback");
  table.accept_open("auth");
}

}  // namespace krakend::daemon
