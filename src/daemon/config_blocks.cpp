#include "daemon/config_blocks.h"

namespace krakend::daemon {
namespace {

const std::vector<std::pair<std::string, LogLevel>> levels{
    {"debug", LogLevel::debug}, {"info", LogLevel::info},    {"warn", LogLevel::warn},
    {"error", LogLevel::error}, {"dpanic", LogLevel::error}, {"panic", LogLevel::error},
    {"fatal", LogLevel::error}};

const std::vector<std::pair<std::string, LogOptions::Time>> time_forms{{"iso8601", LogOptions::Time::iso8601},
                                                                       {"millis", LogOptions::Time::millis},
                                                                       {"nanos", LogOptions::Time::nanos},
                                                                       {"epoch", LogOptions::Time::seconds}};

void add_zap(ConfigTable& table, CommonConfig& config) {
  LogOptions& log = config.log;
  using Case = LogOptions::LevelCase;
  table.choice_key<LogLevel>("zap.level", log.level, levels, "least level that is logged");
  table.choice_key<bool>("zap.encoding", log.json, {{"console", false}, {"json", true}},
                         "form of the log lines");
  table.key("zap.outputPaths", log.outputs, "files, stdout, stderr; none: standard error");
  table.choice_key<LogOptions::Time>("zap.encoderConfig.timeEncoder", log.time, time_forms,
                                     "form of the time; always UTC");
  table.choice_key<Case>("zap.encoderConfig.levelEncoder", log.level_case,
                         {{"capital", Case::capital},
                          {"capitalcolor", Case::capital},
                          {"color", Case::capital},
                          {"lowercase", Case::lower},
                          {"lowercasecolor", Case::lower}},
                         "letters of the level; there are no colours");
  table.key("zap.encoderConfig.messageKey", log.message_key, "key of the message in JSON lines");
  table.key("zap.encoderConfig.levelKey", log.level_key, "key of the level");
  table.key("zap.encoderConfig.timeKey", log.time_key, "key of the time");
  table.key("zap.encoderConfig.nameKey", log.module_key, "key of the module; the role is beside it");
  table.key("zap.sampling.initial", log.sample_first,
            "of the same message in one second so many are logged; 0: all", "lines");
  table.key("zap.sampling.thereafter", log.sample_then, "and then each so-many-th", "lines");
  table.bind("zap.initialFields", make_fields_value(log.initial_fields), "in every line");
  table.accept("zap", {"development", "disableCaller", "disableStacktrace"},
               "log lines name no source lines and no stacks");
  table.accept("zap", {"errorOutputPaths"}, "the log has no errors of its own");
  table.accept("zap.encoderConfig", {"callerKey", "stacktraceKey", "callerEncoder"},
               "log lines name no source lines and no stacks");
  table.accept("zap.encoderConfig", {"lineEnding", "durationEncoder", "nameEncoder"},
               "lines end in a newline, and say units");
}

void add_access_log(ConfigTable& table, AccessLogConfig& access) {
  table.key("access_log.path", access.path,
            "a line for each HTTP request, health aside: a file, stdout or stderr; empty: as nginx.* says");
  table.bind("access_log.format", make_choice<bool>(access.json, {{"combined", false}, {"json", true}}),
             "of nginx: its own, or the JSON that the reference's nginx writes");
  table.key("nginx.access_log_path", access.nginx_path, "the access log where access_log.path is empty");
  table.key("nginx.log_dir", access.nginx_log_dir,
            "holds nginx-access.log where neither names the access log");
}

void add_limits(ConfigTable& table, LimitsConfig& limits) {
  table.key("limits.connections", limits.connections,
            "open HTTP connections of a port; beyond: 503, but health", "connections");
  table.key("limits.connections_per_address", limits.connections_per_address,
            "of them, those of one client address", "connections");
  table.key("limits.requests", limits.requests,
            "HTTP requests of a port at once, of which pulls get three quarters; beyond: 503", "requests");
  table.key("limits.uploads", limits.uploads,
            "of them, those that bring a body of more than 64 KiB; beyond: 503", "requests");
  table.size_key("limits.head_bytes", limits.head_bytes, "request line and headers; more: 431");
  table.key("limits.head_timeout", limits.head_timeout,
            "from the first byte of a head to its last; later: 408");
  table.key("limits.idle_timeout", limits.idle_timeout,
            "a connection without a request is closed after this");
  table.key("limits.body_timeout", limits.body_timeout,
            "a body of which no byte moves for this long ends its connection");
  table.size_key("limits.memory_max", limits.memory_max,
                 "memory of the process; near it, pulls are answered 503; 0: what the control group allows");
}

void add_tls_side(ConfigTable& table, const std::string& at, TlsSide& side) {
  table.key(at + ".cert.path", side.cert, "certificate and those that lead to its authority; PEM");
  table.key(at + ".key.path", side.key, "its private key; PEM");
  table.key(at + ".passphrase.path", side.passphrase, "file with the passphrase of an encrypted key");
}

void add_tls(ConfigTable& table, CommonConfig& config) {
  TlsConfig& tls = config.tls;
  table.key("tls.name", tls.name, "the name that other roles must prove; empty: the host of their address");
  table.bind("tls.cas", make_paths_value(tls.cas),
             "authorities of the other roles' certificates, and of clients' certificates; PEM");
  table.key("tls.server.disabled", tls.server.disabled, "plain HTTP on all ports");
  table.key("tls.client.disabled", tls.client.disabled, "plain HTTP to other roles");
  add_tls_side(table, "tls.server", tls.server);
  add_tls_side(table, "tls.client", tls.client);
}

}  // namespace

void add_common(ConfigTable& table, CommonConfig& config) {
  add_zap(table, config);
  add_tls(table, config);
  table.choice_key<bool>("unknown_keys", config.unknown_keys_warn, {{"error", false}, {"warn", true}},
                         "what a key that nobody knows is: the end, or a line in the log");
  table.choice_key<MetricsBackend>(
      "metrics.backend", config.metrics.backend,
      {{"disabled", MetricsBackend::none}, {"statsd", MetricsBackend::statsd}, {"m3", MetricsBackend::m3}},
      "where metrics are sent; GET /metrics has them in any case");
  table.key("metrics.statsd.host_port", config.metrics.host_port, "the statsd, over UDP");
  table.key("metrics.statsd.prefix", config.metrics.prefix, "goes before each name, with a dot");
  table.accept("metrics", {"m3.host_port", "m3.service", "m3.env"},
               "nothing is sent to m3: GET /metrics, or statsd");
  add_access_log(table, config.access_log);
  table.key("nginx.proxy_timeout", config.answer_timeout,
            "a request of which no byte comes and that has no answer yet gets 504 after this");
  add_limits(table, config.limits);
  table.key("drain_delay", config.drain_delay, "SIGTERM: not ready at once, and the ports close after this");
  table.key("drain_timeout", config.drain_timeout,
            "what runs when the ports close may finish within this; then it is cut");
  table.reloadable({"zap.level", "limits", "drain_delay", "drain_timeout"});
  table.accept("nginx",
               {"binary", "root", "name", "template_path", "cache_dir", "stdout_log_path", "error_log_path",
                "listen_backlog"},
               "there is no nginx: this process listens itself");
}

void add_hosts(ConfigTable& table, const std::string& at, cluster::HostsOptions& hosts, std::string meaning) {
  table.key(at + ".static", hosts.fixed, std::move(meaning));
  table.key(at + ".dns", hosts.dns, "instead: name:port, all addresses of the name");
  table.key(at + ".ttl", hosts.ttl, "how long an answer of the name server is used");
}

namespace {

constexpr const char* no_probes =
    "hosts are not probed: a call that gets no answer goes to the next one at once";

}  // namespace

void accept_active_health(ConfigTable& table, const std::string& at) {
  table.accept(at, {"disabled", "filter.fails", "filter.passes", "filter.timeout", "monitor.interval"},
               no_probes);
}

void accept_passive_health(ConfigTable& table, const std::string& at) {
  table.accept(at, {"fails", "fail_timeout"}, no_probes);
}

void accept_ring(ConfigTable& table, const std::string& at) {
  table.accept(at, {"max_replica", "refresh_interval", "membership_wait_timeout", "membership_wait_interval"},
               "every tracker of the list is in the ring, whatever its health");
}

void accept_retry(ConfigTable& table, const std::string& at) {
  const char* one_queue = "there is one queue on disk, whose pauses grow from 1 s to retry_interval";
  table.accept(
      at,
      {"incoming_buffer", "retry_buffer", "num_incoming_workers", "num_retry_workers", "max_task_throughput",
       "retry_interval", "poll_retries_interval", "workqueue_metrics_emit_interval", "testing"},
      one_queue);
  table.accept(
      at + ".sync_retry_backoff",
      {"enabled", "initial_interval", "randomization_factor", "multiplier", "max_interval", "max_retries"},
      one_queue);
}

void add_cleanup(ConfigTable& table, const std::string& at, storage::EvictionOptions& eviction) {
  table.key(at + ".disabled", eviction.disabled, "nothing goes for its age; the disk's marks hold");
  table.key(at + ".interval", eviction.interval, "between two looks at all blobs");
  table.key(at + ".tti", eviction.tti, "a blob that nobody has read for this long goes");
  table.key(at + ".ttl", eviction.ttl, "a blob that is older goes; 0: never");
  table.key(at + ".aggressive_threshold", eviction.aggressive_threshold,
            "from this use of the disk on the aggressive keys hold; 0: never", "percent");
  table.key(at + ".aggressive_ttL", eviction.aggressive_ttl, "the ttl then");
  table.key(at + ".aggressive_lower_threshold", eviction.aggressive_lower_threshold,
            "where set, the least recently used blobs go then until the use is below this", "percent");
  table.size_key(at + ".bytes_max", eviction.bytes_max,
                 "complete blobs together; beyond, the least recently used go within a minute; 0: no limit");
  table.key(at + ".disk_high", eviction.disk_high,
            "when the disk is fuller the least recently used blobs go; 100: never", "percent");
  table.key(at + ".disk_low", eviction.disk_low, "until it is no fuller than this", "percent");
}

void accept_cleanup(ConfigTable& table, const std::string& at) {
  table.accept(at,
               {"disabled", "interval", "tti", "ttl", "aggressive_threshold", "aggressive_ttL",
                "aggressive_lower_threshold"},
               "uploads and partial blobs go by rules of their own");
}

void add_memory_cache(ConfigTable& table, storage::MemoryCacheOptions& cache) {
  const std::string at = "castore.memory_cache.";
  table.key(at + "enabled", cache.enabled, "small blobs from the backend are served from memory at first");
  table.key(at + "max_size", cache.max_size, "all blobs in memory together", "bytes");
  table.key(at + "drain_workers", cache.drain_workers, "blobs that are put on disk at once", "blobs");
  table.key(at + "drain_max_retries", cache.drain_max_retries,
            "attempts to put a blob on disk, after the first", "attempts");
  table.key(at + "ttl", cache.ttl, "a blob is not served from memory for longer than this");
  table.key(at + "ttl_interval", cache.ttl_interval, "between two looks for such blobs");
}

void accept_memory_cache(ConfigTable& table) {
  table.accept("castore.memory_cache",
               {"enabled", "max_size", "drain_workers", "drain_max_retries", "ttl", "ttl_interval"},
               "nothing is fetched from backends here");
}

void add_listener(ConfigTable& table, CommonConfig& config, const std::string& at) {
  InnerListener& listener = config.inner_listeners.emplace_back();
  listener.key = at;
  table.choice_key<ListenerNet>(
      at + ".net", listener.net,
      {{"none", ListenerNet::none}, {"tcp", ListenerNet::tcp}, {"unix", ListenerNet::unix_socket}},
      "besides the port that a flag names: in the clear and for everybody who reaches it");
  table.key(at + ".addr", listener.addr, "path of the socket, or host:port");
}

namespace {

void add_torrent_log(ConfigTable& table, p2p::TorrentLogOptions& log) {
  const std::string at = "scheduler.torrentlog.";
  table.key(at + "path", log.path,
            "file that downloads and connections are logged to, as the reference does; "
            "empty: none, the log of the process has them");
  table.key(at + "disable", log.disable, "nothing is written there");
  table.choice_key<LogLevel>(at + "level", log.level,
                             {{"debug", LogLevel::debug},
                              {"info", LogLevel::info},
                              {"warn", LogLevel::warn},
                              {"error", LogLevel::error}},
                             "least level that is written; connections and summaries are debug");
  table.choice_key<bool>(at + "encoding", log.json, {{"console", false}, {"json", true}},
                         "form of the lines");
  table.key(at + "service_name", log.service_name, "stands in each line");
  table.key(at + "timeEncoder", log.time_encoder,
            "iso8601, millis or nanos; anything else: seconds since 1970");
}

void add_connections(ConfigTable& table, p2p::EngineOptions& engine) {
  const std::string state = "scheduler.connstate.";
  table.key(state + "max_open_conn", engine.max_open_conn, "open connections per torrent", "connections");
  table.key(state + "max_mutual_conn", engine.max_mutual_conn,
            "of an incoming peer's neighbours so many may be ours; 0: max_open_conn", "connections");
  table.key(state + "disable_blacklist", engine.disable_blacklist,
            "a peer that failed is left alone for 0.5 s at most; one that sent wrong bytes stays banned");
  table.key(state + "blacklist_duration", engine.blacklist_duration,
            "a peer that failed is left alone this long");
  const std::string conn = "scheduler.conn.";
  table.key(conn + "handshake_timeout", engine.handshake_timeout, "longest handshake");
  table.key(conn + "sender_buffer_size", engine.sender_buffer_size,
            "what one peer may have asked for and not got", "pieces");
  table.key(conn + "bandwidth.enable", engine.limit_bandwidth,
            "pieces are sent and received at these rates at most");
  table.key(conn + "bandwidth.egress_bits_per_sec", engine.egress_bits_per_sec,
            "all pieces and copies to other origins together that are sent", "bits a second");
  table.key(conn + "bandwidth.ingress_bits_per_sec", engine.ingress_bits_per_sec,
            "all pieces and copies from other origins together that are received", "bits a second");
  table.accept("scheduler.conn", {"receiver_buffer_size"},
               "there is no buffer of messages: a connection reads when it can act");
  table.accept("scheduler.conn", {"bandwidth.token_size"}, "rates hold to the byte");
}

void add_dispatch(ConfigTable& table, p2p::EngineOptions& engine) {
  const std::string at = "scheduler.dispatch.";
  table.key(at + "pipeline_limit", engine.pipeline_limit, "requests in flight to an agent", "pieces");
  table.key(at + "origin_pipeline_limit", engine.origin_pipeline_limit, "requests in flight to an origin",
            "pieces");
  table.key(at + "piece_request_min_timeout", engine.piece_request_min_timeout,
            "a piece is asked for elsewhere after this at the latest; measured rates make it sooner");
  table.key(at + "piece_request_timeout_per_mb", engine.piece_request_timeout_per_mb,
            "or after this for each MiB of a piece, where that is longer");
  table.choice_key<p2p::PiecePolicy>(
      at + "piece_request_policy", engine.piece_request_policy,
      {{"rarest_first", p2p::PiecePolicy::rarest_first}, {"default", p2p::PiecePolicy::random}},
      "which piece is asked for first; default: any");
  table.key(
      at + "endgame_threshold", engine.endgame_threshold,
      "late pieces are asked for twice when no more than this are missing; 0: when there is nothing else "
      "to ask for",
      "pieces");
  table.key(at + "disable_endgame", engine.disable_endgame, "late pieces are never asked for twice");
}

}  // namespace

void accept_log(ConfigTable& table, const std::string& at) {
  table.accept(at, {"level", "disable", "service_name", "path", "encoding", "timeEncoder"},
               "all modules write the one log that zap describes");
}

void add_castore(ConfigTable& table, CommonConfig& config) {
  storage::StoreOptions& store = config.store;
  table.key("castore.cache_dir", store.cache_dir, "where complete blobs are kept");
  table.key("castore.upload_dir", store.upload_dir, "where uploads arrive; on the file system of cache_dir");
  table.bind("castore.volumes", make_volumes_value(store.volumes), "directories that share the cache");
  table.key("castore.capacity", config.eviction.capacity, "beyond, the least recently used blobs go",
            "blobs");
  table.accept("castore", {"read_part_size", "write_part_size"},
               "bytes move in steps of the system's choice");
  table.accept("castore", {"skip_hash_verification"}, "content is always verified");
  accept_cleanup(table, "castore.upload_cleanup");
  add_cleanup(table, "castore.cache_cleanup", config.eviction);
}

void add_scheduler(ConfigTable& table, p2p::EngineOptions& engine) {
  table.key("scheduler.seeder_tti", engine.seeder_tti,
            "a complete torrent that nobody asks for is closed after this");
  table.key("scheduler.leecher_tti", engine.leecher_tti,
            "an incomplete torrent without progress fails after this");
  table.key("scheduler.conn_tti", engine.conn_tti, "idle connections are closed after this");
  table.key("scheduler.extension", engine.extension,
            "speak krakend's additions to the peer protocol with peers that do, too");
  table.key("scheduler.conn_ttl", engine.conn_ttl, "connections are closed at this age, and made again");
  table.key("scheduler.preemption_interval", engine.preemption_interval,
            "between two looks at seeder_tti, conn_tti and conn_ttl");
  table.key("scheduler.disable_preemption", engine.disable_preemption,
            "none of seeder_tti, leecher_tti, conn_tti and conn_ttl holds");
  table.key("scheduler.no_peer_timeout", engine.no_peer_timeout,
            "a download to which no peer has been connected for this long fails");
  table.key("scheduler.super_seeding", engine.super_seeding,
            "origins show each krakend peer a few pieces at a time, so that different ones leave them");
  table.accept("scheduler", {"emit_stats_interval"}, "GET /metrics is always up to date");
  table.accept("scheduler", {"probe_timeout"}, "has no effect in the reference either");
  add_connections(table, engine);
  add_dispatch(table, engine);
  add_torrent_log(table, engine.torrent_log);
  accept_log(table, "scheduler.log");
}

void add_network_event(ConfigTable& table, p2p::NetworkEventOptions& events) {
  table.key("network_event.enabled", events.enabled,
            "what happens between peers is appended to network_event.log_path");
  table.key("network_event.log_path", events.log_path, "the file that the visualiser reads");
}

void add_peer_identity(ConfigTable& table, PeerIdFactory& factory) {
  table.choice_key<PeerIdFactory>(
      "peer_id_factory", factory,
      {{"random", PeerIdFactory::random}, {"addr_hash", PeerIdFactory::addr_hash}},
      "how the peer id is made: at random, or from peer IP and port");
}

}  // namespace krakend::daemon
