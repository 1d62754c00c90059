#include "daemon/plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace krakend::daemon {
namespace {

constexpr uint16_t default_proxy_port = 15000;
constexpr uint16_t default_origin_peer_port = 15001;
constexpr uint16_t default_blobserver_port = 15002;
constexpr uint16_t default_tracker_port = 15003;
constexpr uint16_t default_build_index_port = 15004;
constexpr uint16_t default_agent_registry_port = 16000;
constexpr uint16_t default_agent_peer_port = 16001;
constexpr uint16_t default_agent_server_port = 16002;

/// Collects ports together with the flag lines that --print-config shows.
class PortPicker {
 public:
  explicit PortPicker(Plan& plan) : plan_(plan) {}
  io::Address pick(std::string flag, const std::optional<uint16_t>& given, uint16_t fallback) {
    const uint16_t port = given.value_or(fallback);
    plan_.flags.push_back({std::move(flag), std::to_string(port), given.has_value()});
    return {plan_.listen_host, port};
  }

 private:
  Plan& plan_;
};

bool upstreams_are_local(const Config& config) {
  const auto local = [](const std::vector<std::string>& hosts) {
    return std::all_of(hosts.begin(), hosts.end(), [](const std::string& host) { return is_loopback(host); });
  };
  return !config.agent || local(config.agent->settings.options.trackers.fixed);
}

Result<std::string> choose_peer_ip(const Options& options, const Config& config, const HostFacts& host,
                                   const std::string& listen_host) {
  if (!options.has(Role::agent) && !options.has(Role::origin)) return std::string();
  if (options.peer_ip) return *options.peer_ip;
  if (!is_wildcard(listen_host)) return listen_host;
  if (host.local_ipv4) return *host.local_ipv4;
  if (upstreams_are_local(config)) return std::string("127.0.0.1");
  return fail(
      Errc::invalid_argument,
      "no IPv4 address on eth0, ib0, eth1 or eth2; name the one that other hosts reach with --peer-ip");
}

PeerId make_peer_id(PeerIdFactory factory, const std::string& ip, uint16_t port, io::Random& random) {
  // With port 0 the address is not known yet, and all peers of a host would share one id.
  if (factory == PeerIdFactory::addr_hash && port != 0) return addr_hash_peer_id(ip, port);
  std::array<uint8_t, 20> bytes{};
  random.fill(bytes);
  return PeerId(bytes);
}

/// One process has one store: its directories are those that some role's YAML names, and roles must not
/// disagree.
/// The one store is kept by the rules of the role that loses most: origin, then proxy, then agent.
void choose_eviction(const Config& config, Plan& plan) {
  if (config.agent) plan.eviction = config.agent->settings.eviction;
  if (config.proxy) plan.eviction = config.proxy->settings.eviction;
  if (config.origin) plan.eviction = config.origin->settings.eviction;
}

Result<void> choose_store(const Config& config, Plan& plan) {
  struct Directory {
    const char* name;
    std::string storage::StoreOptions::*member;
    std::string said_by;
  };
  Directory directories[] = {{"cache_dir", &storage::StoreOptions::cache_dir, ""},
                             {"download_dir", &storage::StoreOptions::download_dir, ""},
                             {"upload_dir", &storage::StoreOptions::upload_dir, ""}};
  bool first = true;
  for (Component* component : config.components()) {
    const CommonConfig& common = component->common();
    if (std::exchange(first, false)) plan.store = common.store;
    for (Directory& directory : directories) {
      const char* block = component->role == Role::agent ? "store" : "castore";
      const std::string path = fmt::format("{}.{}", block, directory.name);
      if (!component->table.given(path)) continue;
      const std::string& wanted = common.store.*directory.member;
      std::string& chosen = plan.store.*directory.member;
      if (!directory.said_by.empty() && chosen != wanted) {
        return fail(Errc::invalid_argument,
                    "{} names {} but {} names {}: roles of one process share one store; name one directory",
                    component->table.where(path), wanted, directory.said_by, chosen);
      }
      chosen = wanted;
      directory.said_by = component->table.where(path);
    }
  }
  // Blobs move between the three by rename, so those that nobody named lie beside the cache that somebody
  // did.
  if (directories[0].said_by.empty()) return {};
  std::string cache = plan.store.cache_dir;
  while (cache.size() > 1 && cache.ends_with('/')) cache.pop_back();
  if (directories[1].said_by.empty()) plan.store.download_dir = io::parent_path(cache) + "/download";
  if (directories[2].said_by.empty()) plan.store.upload_dir = io::parent_path(cache) + "/upload";
  return {};
}

Result<void> choose_statsd(const Config& config, Plan& plan) {
  for (Component* component : config.components()) {
    const MetricsConfig& metrics = component->common().metrics;
    if (metrics.backend != MetricsBackend::statsd) continue;
    if (auto address = io::Address::parse(metrics.host_port); !address) {
      return fail(Errc::invalid_argument, "{}: metrics.statsd.host_port: {}",
                  component->table.where("metrics.backend"), address.error().message);
    }
    plan.statsd.push_back({component->role, metrics.host_port, metrics.prefix});
  }
  return {};
}

/// The process has one log: the most talkative role decides the level, the first that has a zap block the
/// form.
LogOptions choose_log(const Config& config) {
  std::optional<LogOptions> form;
  LogLevel level = LogLevel::error;
  bool json = false;
  for (Component* component : config.components()) {
    const LogOptions& log = component->common().log;
    level = std::min(level, log.level);
    json = json || log.json;
    if (!form && component->table.mentions("zap")) form = log;
  }
  LogOptions chosen = form.value_or(LogOptions{});
  chosen.level = level;
  chosen.json = json;
  return chosen;
}

std::string access_log_path(const AccessLogConfig& access) {
  if (!access.path.empty()) return access.path;
  if (!access.nginx_path.empty()) return access.nginx_path;
  return access.nginx_log_dir.empty() ? std::string() : access.nginx_log_dir + "/nginx-access.log";
}

/// What holds for the process as a whole.
void choose_process(const Config& config, Plan& plan) {
  plan.log = choose_log(config);
  bool first = true;
  const auto largest = [&first](auto& chosen, const auto& wanted) {
    chosen = first ? wanted : std::max(chosen, wanted);
  };
  for (Component* component : config.components()) {
    const CommonConfig& common = component->common();
    plan.access_logs[component->role] = {access_log_path(common.access_log), common.access_log.json};
    largest(plan.drain_delay, common.drain_delay);
    largest(plan.drain_timeout, common.drain_timeout);
    LimitsConfig& limits = plan.limits;
    largest(limits.connections, common.limits.connections);
    largest(limits.connections_per_address, common.limits.connections_per_address);
    largest(limits.requests, common.limits.requests);
    largest(limits.uploads, common.limits.uploads);
    largest(limits.head_bytes, common.limits.head_bytes);
    largest(limits.head_timeout, common.limits.head_timeout);
    largest(limits.idle_timeout, common.limits.idle_timeout);
    largest(limits.body_timeout, common.limits.body_timeout);
    largest(limits.memory_max, common.limits.memory_max);
    first = false;
  }
}

void plan_origin(const Options& options, const Config& config, Plan& plan, io::Random& random) {
  PortPicker ports(plan);
  origin::OriginOptions& origin = plan.origin.emplace(config.origin->settings.options);
  origin.listen = ports.pick("blobserver-port", options.blobserver_port, default_blobserver_port);
  const io::Address peer = ports.pick("peer-port", options.peer_port, default_origin_peer_port);
  plan.store.memory_cache = config.origin->settings.store.memory_cache;
  plan.membership_wait_timeout = config.origin->settings.membership_wait_timeout;
  plan.membership_wait_interval = config.origin->settings.membership_wait_interval;
  origin.zone = options.zone;
  origin.cluster_name = options.cluster;
  origin.p2p.peer_id = make_peer_id(config.origin->settings.peer_ids, plan.peer_ip, peer.port, random);
  origin.p2p.ip = plan.peer_ip;
  origin.p2p.port = peer.port;
  origin.p2p.listen_host = plan.listen_host;
  origin.p2p.origin = true;
}

Result<void> plan_agent(const Options& options, const Config& config, Plan& plan, io::Random& random) {
  PortPicker ports(plan);
  agent::AgentOptions& agent = plan.agent.emplace(config.agent->settings.options);
  if (config.agent->table.mentions("allowed_cidrs"))
    agent.allowed_cidrs = config.agent->settings.allowed_cidrs;
  agent.registry_listen =
      ports.pick("agent-registry-port", options.agent_registry_port, default_agent_registry_port);
  agent.server_listen = ports.pick("agent-server-port", options.agent_server_port, default_agent_server_port);
  const char* flag = options.has(Role::origin) ? "agent-peer-port" : "peer-port";
  const io::Address peer = ports.pick(flag, options.agent_peer_port, default_agent_peer_port);
  agent.p2p.peer_id = make_peer_id(config.agent->settings.peer_ids, plan.peer_ip, peer.port, random);
  agent.p2p.ip = plan.peer_ip;
  agent.p2p.port = peer.port;
  agent.p2p.listen_host = plan.listen_host;
  agent.spool_dir = plan.store.download_dir;
  const std::string& backup = config.agent->settings.registry_backup;
  if (backup.empty()) return {};
  auto address = io::Address::parse(backup);
  if (!address)
    return fail(Errc::invalid_argument, "{}: registry_backup: {}",
                config.agent->table.where("registry_backup"), address.error().message);
  agent.registry_backup = std::move(*address);
  return {};
}

void plan_build_index(const Options& options, const ComponentOf<BuildIndexConfig>& config,
                      const HostFacts& host, Plan& plan) {
  PortPicker ports(plan);
  build_index::BuildIndexOptions& index = plan.build_index.emplace(config.settings.options);
  if (config.settings.response_cache_disabled) index.cache = {0s, 0s, 0s, 0s};
  index.listen = ports.pick(options.single() ? "port" : "build-index-port", options.build_index_port,
                            default_build_index_port);
  std::vector<std::string> names{host.host_name, plan.listen_host};
  if (host.local_ipv4) names.push_back(*host.local_ipv4);
  for (const std::string& name : names)
    index.neighbours.self.push_back(io::Address{name, index.listen.port}.str());
}

void plan_proxy(const Options& options, const Config& config, Plan& plan) {
  proxy::ProxyOptions& proxy = plan.proxy.emplace(config.proxy->settings.options);
  proxy.has_copies = !options.has(Role::origin);
  if (!proxy.has_copies) {
    proxy.piece_length = [lengths = config.origin->settings.options.piece_lengths](uint64_t size) {
      return origin::piece_length_for(lengths, size);
    };
  }
  plan.store.keep_owned_uploads = true;
  std::vector<uint16_t> ports = options.proxy_ports;
  if (ports.empty()) ports.push_back(default_proxy_port);
  for (const uint16_t port : ports) {
    proxy.listen.push_back({plan.listen_host, port});
    plan.flags.push_back(
        {options.single() ? "port" : "proxy-port", std::to_string(port), !options.proxy_ports.empty()});
  }
}

}  // namespace

bool is_loopback(std::string_view host) {
  return host.starts_with("127.") || host == "::1" || host.starts_with("localhost") ||
         host.starts_with("[::1]");
}

bool is_wildcard(std::string_view host) {
  return host == "0.0.0.0" || host == "::" || host.empty();
}

std::string connectable(const std::string& host) {
  if (host == "::") return "::1";
  return is_wildcard(host) ? "127.0.0.1" : host;
}

Result<std::string> own_label(const Options& options, const HostFacts& host, const Plan& plan, uint16_t port,
                              const std::vector<std::string>& cluster) {
  const auto label = [port](const std::string& name) { return io::Address{name, port}.str(); };
  if (cluster.empty()) return label(options.blobserver_hostname.value_or(plan.peer_ip));
  std::vector<std::string> names{options.blobserver_hostname.value_or(host.host_name)};
  if (host.local_ipv4) names.push_back(*host.local_ipv4);
  names.insert(names.end(), {plan.peer_ip, plan.listen_host});
  for (const std::string& name : names) {
    if (std::find(cluster.begin(), cluster.end(), label(name)) != cluster.end()) return label(name);
  }
  return fail(Errc::invalid_argument,
              "this origin is not in its own cluster: none of its entries is {} or {}; add it there, or set "
              "--blobserver-hostname",
              label(names.front()), label(plan.peer_ip));
}

namespace {

Result<io::Address> inner_address(const InnerListener& listener) {
  if (listener.addr.empty())
    return fail(Errc::invalid_argument, "{}.addr is empty: name the {}, or leave {}.net out", listener.key,
                listener.net == ListenerNet::tcp ? "host:port" : "path of the socket", listener.key);
  if (listener.net == ListenerNet::unix_socket) return io::Address{"unix:" + listener.addr, 0};
  // As Go has it: no host means all of them.
  const std::string text = listener.addr.front() == ':' ? "0.0.0.0" + listener.addr : listener.addr;
  auto address = io::Address::parse(text);
  if (!address) return fail(Errc::invalid_argument, "{}.addr: {}", listener.key, address.error().message);
  return address;
}

/// The proxy opens this one itself: it has more there than at its port.
constexpr std::string_view server_listener = "server.listener";

Result<void> choose_server_listener(Component& component, proxy::ProxyOptions& proxy) {
  for (const InnerListener& listener : component.common().inner_listeners) {
    if (listener.key != server_listener || listener.net == ListenerNet::none) continue;
    auto address = inner_address(listener);
    if (!address) return propagate(address);
    proxy.server_listen = std::move(*address);
  }
  return {};
}

Result<void> choose_edges(const Config& config, Plan& plan) {
  for (Component* component : config.components()) {
    const CommonConfig& common = component->common();
    EdgeOptions& edge = plan.edges[component->role];
    // The reference lets only these of the build-index take longer (contract config-ops §5.2).
    if (component->role == Role::build_index)
      edge.answer_timeouts = {{"/tags", common.answer_timeout}, {"/list", common.answer_timeout}, {"", 60s}};
    else
      edge.answer_timeouts = {{"", common.answer_timeout}};
    for (const InnerListener& listener : common.inner_listeners) {
      if (listener.net == ListenerNet::none || listener.key == server_listener) continue;
      auto address = inner_address(listener);
      if (!address) return propagate(address);
      edge.inner.push_back({listener.key, std::move(*address)});
    }
  }
  return {};
}

}  // namespace

Result<Plan> make_plan(const Options& options, const Config& config, const HostFacts& host,
                       io::Random& random) {
  Plan plan;
  plan.data_dir = data_dir_of(options);
  const bool private_herd = options.herd && !options.config_file;
  plan.listen_host = options.listen_address.value_or(private_herd ? "127.0.0.1" : "0.0.0.0");
  Result<std::string> peer_ip = choose_peer_ip(options, config, host, plan.listen_host);
  if (!peer_ip) return propagate(peer_ip);
  plan.peer_ip = *peer_ip;
  plan.flags.push_back({"listen-address", plan.listen_host, options.listen_address.has_value()});
  plan.flags.push_back({"data-dir", plan.data_dir, options.data_dir.has_value()});
  if (!plan.peer_ip.empty()) plan.flags.push_back({"peer-ip", plan.peer_ip, options.peer_ip.has_value()});
  if (Result<void> chosen = choose_store(config, plan); !chosen) return propagate(chosen);

  plan.store.boot_id = host.boot_id;
  choose_eviction(config, plan);
  choose_process(config, plan);
  if (Result<void> chosen = choose_edges(config, plan); !chosen) return propagate(chosen);
  if (Result<void> chosen = choose_statsd(config, plan); !chosen) return propagate(chosen);
  for (Component* component : config.components()) plan.tls[component->role] = component->common().tls;

  PortPicker ports(plan);
  const bool single = options.single();
  if (config.origin) plan_origin(options, config, plan, random);
  if (config.build_index) plan_build_index(options, *config.build_index, host, plan);
  if (config.tracker) {
    plan.tracker = config.tracker->settings.options;
    plan.tracker->listen =
        ports.pick(single ? "port" : "tracker-port", options.tracker_port, default_tracker_port);
  }
  if (config.proxy) {
    plan_proxy(options, config, plan);
    if (Result<void> chosen = choose_server_listener(*config.proxy, *plan.proxy); !chosen)
      return propagate(chosen);
  }
  if (config.agent) {
    if (Result<void> planned = plan_agent(options, config, plan, random); !planned) return propagate(planned);
  }
  for (p2p::EngineSelf* self :
       {plan.agent ? &plan.agent->p2p : nullptr, plan.origin ? &plan.origin->p2p : nullptr}) {
    if (self == nullptr) continue;
    self->zone = options.zone;
    self->cluster = options.cluster;
    self->hostname = host.host_name;
  }
  return plan;
}

}  // namespace krakend::daemon
