#include "daemon/config_blocks.h"

namespace krakend::daemon {
namespace {

void describe_replication(ConfigTable& table, BuildIndexConfig& config) {
  build_index::BuildIndexOptions& options = config.options;
  add_hosts(table, "cluster.hosts", options.neighbours.hosts,
            "all build-indexes of the cluster; this one may be among them");
  table.key("tagserver.duplicate_put_stagger", options.neighbours.put_stagger,
            "the i-th other build-index writes a tag back i times this later; krakend's do so at once");
  table.key("tagserver.duplicate_replicate_stagger", options.neighbours.replicate_stagger,
            "the i-th other build-index replicates a tag i times this later, unless it is there by then");
  table.bind("remotes", make_remotes_value(options.remotes),
             "build-indexes of other clusters, host:port, each with patterns (RE2, unanchored) of the tags, "
             "\"repo:tag\", that are copied there");
  table.key("localdb.source", config.database, "SQLite file of the tags that are still to be replicated");
  table.key("tag_replication.retry_interval", options.replication.backoff.limit,
            "longest pause between two attempts to copy a tag, or to reach a remote; the first is 1 s");
  table.key("tag_replication.num_incoming_workers", options.replication.parallel,
            "tags that are copied to each remote at once", "tags");
  table.key("tag_replication.tasks_max", options.replication.tasks_max,
            "tags that may wait for each remote; beyond: their puts fail", "tags");
}

}  // namespace

void describe(ConfigTable& table, BuildIndexConfig& config) {
  build_index::BuildIndexOptions& options = config.options;
  table.bind("backends", make_backends_value(config.backends, "docker_tag"),
             "where tags are kept, by namespace");
  table.bind("tag_types", make_tag_types_value(options.tag_types),
             "how the blobs that a tag needs are found");
  add_hosts(table, "origin.hosts", options.origins, "origins that hold the blobs of the tags");
  table.key("response_cache.disabled", config.response_cache_disabled,
            "every tag and list is read from the backend");
  table.key("response_cache.tag_ttl", options.cache.tag_ttl,
            "how long a tag may be answered that another build-index has changed meanwhile");
  table.key("response_cache.list_ttl", options.cache.list_ttl, "the same for lists of all repositories");
  table.key("response_cache.repository_ttl", options.cache.repository_ttl,
            "the same for the tags of one repository");
  add_common(table, config);

  describe_replication(table, config);

  accept_active_health(table, "origin.healthcheck");
  accept_active_health(table, "cluster.healthcheck");
  table.accept("", {"tag_store.write_through"},
               "a tag is in its backend before the put is answered: nothing waits for it");
  add_listener(table, config, "tagserver.listener");
  table.accept_open("tagserver.cache", "has none in the reference either");
  table.accept("store", {"upload_dir", "cache_dir", "read_part_size", "write_part_size"},
               "tags are kept in their backend alone");
  accept_cleanup(table, "store.upload_cleanup");
  accept_cleanup(table, "store.cache_cleanup");
  accept_log(table, "backend_manager.log");
  accept_retry(table, "writeback");
  accept_retry(table, "tag_replication");
  table.accept_open("auth", "backends that need credentials are not there yet");
  table.reloadable({"origin.hosts", "cluster.hosts"});
}

}  // namespace krakend::daemon
