#include "daemon/config.h"
#include "support.h"
#include "support/catch.h"

namespace krakend::daemon {
namespace {

// The keys of the reference's own base files and of its development cluster (contract config-ops §6-§8), with
// what cannot be honoured left out.

constexpr const char* common = R"(
zap:
  level: INFO
  development: false
  disableStacktrace: true
  encoding: console
  encoderConfig: {messageKey: message, nameKey: logger_name, levelKey: level, timeKey: ts, callerKey: caller,
                  stacktraceKey: stack, levelEncoder: capital, timeEncoder: iso8601, durationEncoder: seconds}
  outputPaths: [stdout]
  initialFields: {team: x, nested: {a: 1}}
metrics: {backend: disabled, statsd: {host_port: 'x:1', prefix: p}, m3: {service: s, host_port: 'x:1', env: e}}
nginx: {name: n, cache_dir: /c, log_dir: /l, binary: /n, root: no, proxy_timeout: 3m, listen_backlog: 5}
tls:
  name: kraken
  cas: [{path: /ca}]
  server: {disabled: true, cert: {path: /c}, key: {path: /k}, passphrase: {path: /p}}
  client: {disabled: yes, cert: {path: /c}, key: {path: /k}, passphrase: {path: /p}}
)";

constexpr const char* cleanup =
    "{disabled: false, interval: 1m, tti: 1m, ttl: 24h, aggressive_threshold: 80, aggressive_ttL: 1h, "
    "aggressive_lower_threshold: 60}";
constexpr const char* active =
    "healthcheck: {disabled: true, filter: {fails: 3, passes: 2, timeout: 3s}, monitor: {interval: 10s}}";
constexpr const char* retry =
    "{incoming_buffer: 1, retry_buffer: 1, num_incoming_workers: 1, num_retry_workers: 1, "
    "max_task_throughput: 1ms, "
    "retry_interval: 100ms, poll_retries_interval: 250ms, sync_retry_backoff: {enabled: true, "
    "initial_interval: 2s, "
    "randomization_factor: 0.05, multiplier: 2, max_interval: 30s, max_retries: 5}, "
    "workqueue_metrics_emit_interval: 5s, testing: false}";
constexpr const char* scheduler = R"(
scheduler:
  seeder_tti: 5m
  leecher_tti: 5m
  conn_tti: 30s
  conn_ttl: 1h
  preemption_interval: 30s
  emit_stats_interval: 1s
  disable_preemption: true
  probe_timeout: 3s
  connstate: {max_open_conn: 20, max_mutual_conn: 5, disable_blacklist: true, blacklist_duration: 1m}
  conn: {handshake_timeout: 5s, sender_buffer_size: 1, receiver_buffer_size: 1,
         bandwidth: {enable: true, egress_bits_per_sec: 1, ingress_bits_per_sec: 1, token_size: 1}}
  dispatch: {piece_request_min_timeout: 4s, piece_request_timeout_per_mb: 4s, piece_request_policy: rarest_first,
             pipeline_limit: 4, origin_pipeline_limit: 6, endgame_threshold: 1, disable_endgame: false}
  torrentlog: {disable: true, service_name: s, path: /l, encoding: json, timeEncoder: epoch, level: debug}
  log: {level: info}
peer_id_factory: addr_hash
network_event: {enabled: false, log_path: /x}
)";

std::string text_of(Role role) {
  switch (role) {
    case Role::agent:
      return fmt::format(
          "{}{}\nstore: {{download_dir: /d, cache_dir: /c, download_cleanup: {}, cache_cleanup: {}, "
          "read_part_size: 0}}\n"
          "registry: {{docker: {{version: 0.1, log: {{level: error}}, http: {{net: unix, addr: /s}}}}}}\n"
          "tracker: {{hosts: {{static: ['t:1'], ttl: 5s}}, healthcheck: {{fails: 3, fail_timeout: 5m}}, "
          "hashring: {{max_replica: 3, refresh_interval: 10s}}}}\n"
          "build_index: {{hosts: {{static: ['b:1']}}, healthcheck: {{fails: 3, fail_timeout: 5m}}}}\n"
          "agentserver: {{readiness_cache_ttl: 1s}}\nregistry_backup: ''\nallowed_cidrs: [127.0.0.1]\n"
          "container_runtime: {{docker: {{docker_host: h, docker_scheme: http, docker_version: 1.24}}, "
          "containerd: {{address: /s}}}}\ndocker_daemon: {{docker_host: h}}\n",
          common, scheduler, cleanup, cleanup);
    case Role::origin:
      return fmt::format(
          "{}{}\nverbose: true\ncluster: {{static: ['o:15002'], ttl: 5s}}\nhashring: {{max_replica: 2, "
          "refresh_interval: 10s, membership_wait_timeout: 1m, membership_wait_interval: 500ms}}\n"
          "healthcheck: {{fails: 3, passes: 2, timeout: 3s}}\n"
          "blobserver: {{listener: {{net: unix, addr: /s}}, duplicate_write_back_stagger: 30m}}\n"
          "castore: {{upload_dir: /u, cache_dir: /c, volumes: [{{location: /v, weight: 1}}], capacity: 1, "
          "upload_cleanup: {}, cache_cleanup: {}, skip_hash_verification: false, memory_cache: {{enabled: "
          "true, "
          "max_size: 1048576, drain_workers: 2, drain_max_retries: 3, ttl: 2s, ttl_interval: 1m}}}}\n"
          "metainfogen: {{piece_lengths: {{0: 4MB}}}}\nbackend_manager: {{log: {{level: info}}}}\n"
          "auth: {{s3: {{user: {{s3: {{aws: x}}}}}}}}\nblobrefresh: {{size_limit: 5GB}}\n"
          "localdb: {{source: /db}}\nwriteback: {}\n",
          common, scheduler, cleanup, cleanup, retry);
    case Role::tracker:
      return fmt::format(
          "{}\nlogging: {{a: {{b: c}}}}\npeerstore: {{local: {{ttl: 5h}}, redis: {{addr: 'x:1', "
          "dial_timeout: 5s, "
          "peer_set_window_size: 1h, max_peer_set_windows: 5}}}}\n"
          "originstore: {{locations_ttl: 10s, locations_error_ttl: 1s, origin_context_ttl: 10s, "
          "origin_unavailable_ttl: 1m}}\ntrackerserver: {{get_metainfo_limit: 1s, announce_limit: 50, "
          "announce_interval: 3s, listener: {{net: unix, addr: /s}}}}\npeerhandoutpolicy: {{priority: "
          "completeness}}\n"
          "origin: {{hosts: {{static: ['o:1']}}, {}}}\n",
          common, active);
    case Role::build_index:
      return fmt::format(
          "{0}\nbackend_manager: {{log: {{level: info}}}}\nauth: {{}}\ntagserver: {{listener: {{net: unix, "
          "addr: /s}}, "
          "duplicate_replicate_stagger: 20m, duplicate_put_stagger: 20m, cache: {{ttl: 1m}}}}\n"
          "remotes: {{'b:1': [a/.*]}}\ntag_replication: {2}\nwriteback: {2}\n"
          "tag_types: [{{namespace: .*, type: docker, root: x}}]\norigin: {{hosts: {{static: ['o:1']}}, "
          "{1}}}\n"
          "localdb: {{source: /db}}\ncluster: {{hosts: {{static: ['b:1'], dns: ''}}, {1}}}\n"
          "tag_store: {{write_through: true}}\nstore: {{upload_dir: /u, cache_dir: /c, cache_cleanup: "
          "{3}}}\n",
          common, active, retry, cleanup);
    case Role::proxy:
      return fmt::format(
          "{0}\ncastore: {{upload_dir: /u, cache_dir: /c, capacity: 1024}}\n"
          "registry: {{docker: {{version: 0.1, http: {{net: unix, addr: /s, draintimeout: 1s}}}}}}\n"
          "build_index: {{hosts: {{static: ['b:1']}}, {1}}}\norigin: {{hosts: {{static: ['o:1']}}, {1}}}\n"
          "registryoverride: {{listener: {{net: unix, addr: /s}}}}\nserver: {{listener: {{net: unix, addr: "
          "/s}}, "
          "prefetch_min_blob_size: 0, prefetch_max_blob_size: 50G}}\n",
          common, active);
  }
  return {};
}

TEST_CASE("the reference's keys are all accepted, and what has no effect is named") {
  for (const Role role : {Role::origin, Role::build_index, Role::tracker, Role::proxy, Role::agent}) {
    Options options;
    options.roles = {role};
    options.config_file = "/c.yaml";
    TextDisk disk(std::map<std::string, std::string>{{"/c.yaml", text_of(role)}});
    const Result<Config> config = load_config(options, disk);
    INFO(to_string(role) << ": " << (config ? std::string() : config.error().message));
    REQUIRE(config.has_value());
    const Component& component = *config->components().front();
    std::set<std::string> unused;
    for (const UnusedKey& key : component.table.unused()) CHECK(unused.insert(key.path).second);
    CHECK(unused.contains("nginx.name"));
    CHECK(unused.contains("zap.development"));
    CHECK_FALSE(unused.contains("zap.level"));
  }
}

}  // namespace
}  // namespace krakend::daemon
