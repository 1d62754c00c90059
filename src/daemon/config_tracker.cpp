#include "daemon/config_blocks.h"

namespace krakend::daemon {

void describe(ConfigTable& table, TrackerConfig& config) {
  tracker::TrackerOptions& options = config.options;
  table.key("trackerserver.announce_limit", options.announce_limit, "peers handed out per announce", "peers");
  table.key("trackerserver.announce_interval", options.announce_interval,
            "time between two announces of a peer");
  table.key("peerstore.local.ttl", options.peer_ttl, "a peer that does not announce is forgotten after this");
  table.choice_key<bool>("peerhandoutpolicy.priority", options.completeness,
                         {{"completeness", true}, {"default", false}}, "which peers are handed out first");
  add_hosts(table, "origin.hosts", options.origins, "origins to ask for metainfo");
  config.answer_timeout = 60s;
  add_common(table, config);
  add_listener(table, config, "trackerserver.listener");

  accept_active_health(table, "origin.healthcheck");
  table.refuse("peerstore.redis.enabled", "remove it: peers are kept in memory");
  table.accept("peerstore.redis",
               {"addr", "dial_timeout", "read_timeout", "write_timeout", "peer_set_window_size",
                "max_peer_set_windows", "max_idle_conns", "max_active_conns", "idle_conn_timeout"},
               "peers are kept in memory");
  table.accept("originstore",
               {"locations_ttl", "locations_error_ttl", "origin_context_ttl", "origin_unavailable_ttl"},
               "fixed at 10 s; 1 s and 3 s after a failure");
  table.accept("trackerserver", {"get_metainfo_limit"}, "has none in the reference either");
  table.accept_open("logging", "has none in the reference either");
  table.reloadable({"trackerserver.announce_limit", "trackerserver.announce_interval", "origin.hosts"});
}

}  // namespace krakend::daemon
