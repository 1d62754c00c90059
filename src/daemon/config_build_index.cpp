#include "daemon/config_blocks.h"

namespace krakend::daemon {

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

  accept_active_health(table, "origin.healthcheck");
  accept_hosts(table, "cluster.hosts");
  accept_active_health(table, "cluster.healthcheck");
  table.accept("", {"localdb.source", "tag_store.write_through"},
               "a tag is in its backend before the put is answered: nothing waits for it");
  table.accept("tagserver", {"duplicate_replicate_stagger", "duplicate_put_stagger"},
               "build-indexes do not talk to each other yet");
  add_listener(table, config, "tagserver.listener");
  table.accept_open("tagserver.cache", "has none in the reference either");
  table.accept("store", {"upload_dir", "cache_dir", "read_part_size", "write_part_size"},
               "tags are kept in their backend alone");
  accept_cleanup(table, "store.upload_cleanup");
  accept_cleanup(table, "store.cache_cleanup");
  accept_log(table, "backend_manager.log");
  accept_retry(table, "writeback");
  accept_retry(table, "tag_replication");
  table.accept_open("remotes", "replication between clusters is not there yet");
  table.accept_open("auth", "backends that need credentials are not there yet");
  table.reloadable({"origin.hosts"});
}

}  // namespace krakend::daemon
