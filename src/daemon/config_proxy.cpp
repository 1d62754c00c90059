#include "daemon/config_blocks.h"

namespace krakend::daemon {

void describe(ConfigTable& table, ProxyConfig& config) {
  proxy::ProxyOptions& options = config.options;
  add_castore(table, config);
  accept_memory_cache(table);
  add_hosts(table, "origin.hosts", options.origins, "origins that keep the blobs");
  add_hosts(table, "build_index.hosts", options.build_indexes, "build-indexes that keep the tags");
  table.key("registry.delete_enabled", options.registry.delete_enabled,
            "DELETE of tags, manifests and blobs; otherwise 405");
  table.size_key("registry.manifest_size_max", options.registry.manifest_size_max,
                 "largest manifest; larger: 413");
  table.size_key("registry.upload_size_max", options.registry.upload_size_max, "largest blob; larger: 413");
  table.key("registry.upload_ttl", options.registry.upload_ttl,
            "an upload that nobody goes on with is dropped after this");
  table.bind(
      "registry.trusted_proxies", make_address_ranges_value(options.registry.trusted_proxies),
      "addresses of reverse proxies; their X-Forwarded-* and Forwarded headers make the URLs in answers");
  add_common(table, config);

  accept_active_health(table, "origin.healthcheck");
  accept_active_health(table, "build_index.healthcheck");
  add_listener(table, config, "registry.docker.http");
  add_listener(table, config, "registryoverride.listener");
  add_listener(table, config, "server.listener");
  table.accept_open("registry.docker", "the registry is krakend's own");
  table.size_key("server.prefetch_min_blob_size", options.prefetch.blob_size_min,
                 "smaller blobs of an image are not prefetched");
  table.size_key("server.prefetch_max_blob_size", options.prefetch.blob_size_max,
                 "larger blobs of an image are not prefetched");
  table.reloadable({"origin.hosts", "build_index.hosts", "castore.cache_cleanup", "castore.capacity",
                    "registry.upload_size_max", "registry.upload_ttl", "server.prefetch_min_blob_size",
                    "server.prefetch_max_blob_size"});
}

}  // namespace krakend::daemon
