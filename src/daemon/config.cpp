#include "daemon/config.h"

#include <fmt/format.h>

#include "daemon/config_file.h"

namespace krakend::daemon {
namespace {

template <class T>
std::unique_ptr<ComponentOf<T>> make_component(const Options& options, Role role) {
  if (!options.has(role)) return nullptr;
  T defaults;
  defaults.data_dir = data_dir_of(options);
  defaults.store.cache_dir = defaults.data_dir + "/cache";
  defaults.store.download_dir = defaults.data_dir + "/download";
  defaults.store.upload_dir = defaults.data_dir + "/upload";
  defaults.access_log.json = role == Role::origin || role == Role::proxy;  // as in the reference
  const std::string backend = defaults.data_dir + "/backend";
  if constexpr (std::is_same_v<T, OriginConfig>) defaults.backends = {{".*", backend, "sharded_docker_blob"}};
  if constexpr (std::is_same_v<T, OriginConfig>) defaults.database = defaults.data_dir + "/origin.db";
  if constexpr (std::is_same_v<T, BuildIndexConfig>) defaults.backends = {{".*", backend, "docker_tag"}};
  if constexpr (std::is_same_v<T, BuildIndexConfig>)
    defaults.database = defaults.data_dir + "/build-index.db";
  return std::make_unique<ComponentOf<T>>(role, std::move(defaults));
}

Result<void> apply_chain(io::Disk& disk, ConfigTable& table, const std::string& path, bool secrets) {
  Result<std::vector<ConfigDocument>> chain = load_config_chain(disk, path);
  if (!chain) return propagate(chain);
  for (const ConfigDocument& document : *chain) table.apply(document.root, {document.path, secrets});
  return {};
}

/// A role's block in the file of a process with several roles.
Result<void> apply_block(io::Disk& disk, ConfigTable& table, const ConfigDocument& document,
                         const YAML::Node& block, bool secrets) {
  if (block.IsMap() && block["extends"] && block["extends"].IsScalar()) {
    const std::string parent = resolve_beside(document.path, block["extends"].Scalar());
    if (Result<void> done = apply_chain(disk, table, parent, secrets); !done) return done;
  }
  table.apply(block, {document.path, secrets});
  return {};
}

Result<void> apply_shared_document(io::Disk& disk, const Config& config, const ConfigDocument& document,
                                   bool secrets) {
  if (document.root.IsNull()) return {};
  if (!document.root.IsMap()) return fail(Errc::invalid_argument, "{}: must be a mapping", document.path);
  for (const auto& [key, block] : mapping_pairs(document.root)) {
    const std::string name = key.IsScalar() ? key.Scalar() : std::string();
    if (name == "extends") continue;
    bool is_role = false;
    for (const Role role : {Role::origin, Role::build_index, Role::tracker, Role::proxy, Role::agent}) {
      is_role = is_role || to_string(role) == name;
    }
    if (!is_role) {
      return fail(
          Errc::invalid_argument,
          "{}:{}: unknown key \"{}\"; a configuration for several roles has one block per role: origin, "
          "build-index, tracker, proxy, agent",
          document.path, key.Mark().line + 1, name);
    }
    for (Component* component : config.components()) {
      if (to_string(component->role) != name) continue;
      Result<void> done = apply_block(disk, component->table, document, block, secrets);
      if (!done) return done;
    }
  }
  return {};
}

Result<void> apply_file(io::Disk& disk, const Config& config, const std::string& path, bool secrets) {
  const std::vector<Component*> components = config.components();
  if (components.size() == 1) return apply_chain(disk, components.front()->table, path, secrets);
  Result<std::vector<ConfigDocument>> chain = load_config_chain(disk, path);
  if (!chain) return propagate(chain);
  for (const ConfigDocument& document : *chain) {
    if (Result<void> done = apply_shared_document(disk, config, document, secrets); !done) return done;
  }
  return {};
}

/// A list of hosts is either written down or a name.
Result<void> check_hosts(const Component& component, const std::string& block,
                         const cluster::HostsOptions& hosts) {
  if (hosts.fixed.empty() || hosts.dns.empty()) return {};
  return fail(Errc::invalid_argument, "{}: {}.static and {}.dns are both given: remove one of them",
              component.table.where(block + ".dns"), block, block);
}

/// Hosts by order of preference: the flag, the YAML, the role in this process (left empty: its port is known
/// once it listens), a herd on this host.
Result<void> settle_hosts(Component& component, const Options& options, const std::string& block,
                          Role upstream, const std::vector<std::string>& from_flag,
                          cluster::HostsOptions& hosts) {
  constexpr std::pair<Role, std::string_view> herd[] = {{Role::origin, "127.0.0.1:15002"},
                                                        {Role::tracker, "127.0.0.1:15003"},
                                                        {Role::build_index, "127.0.0.1:15004"}};
  const std::string path = block + ".static";
  if (auto checked = check_hosts(component, block, hosts); !checked) return checked;
  if (!from_flag.empty()) {
    hosts = cluster::HostsOptions(from_flag);
    component.table.set_by_flag(path, fmt::format("--{}", to_string(upstream)));
  }
  if (!hosts.empty()) return {};
  if (options.has(upstream)) {
    component.table.explain_default(path,
                                    fmt::format("default: the {} in this process", to_string(upstream)));
    return {};
  }
  for (const auto& [role, address] : herd) {
    if (role == upstream) hosts.fixed = {std::string(address)};
  }
  return {};
}

Result<void> settle_all_hosts(Config& config, const Options& options) {
  std::vector<Result<void>> settled;
  const auto settle = [&](Component& role, const std::string& block, Role upstream,
                          const std::vector<std::string>& from_flag, cluster::HostsOptions& hosts) {
    settled.push_back(settle_hosts(role, options, block, upstream, from_flag, hosts));
  };
  if (auto* role = config.origin.get())
    settled.push_back(check_hosts(*role, "cluster", role->settings.options.cluster));
  if (auto* role = config.build_index.get())
    settle(*role, "origin.hosts", Role::origin, options.origins, role->settings.options.origins);
  if (auto* role = config.tracker.get())
    settle(*role, "origin.hosts", Role::origin, options.origins, role->settings.options.origins);
  if (auto* role = config.proxy.get()) {
    proxy::ProxyOptions& to = role->settings.options;
    settle(*role, "origin.hosts", Role::origin, options.origins, to.origins);
    settle(*role, "build_index.hosts", Role::build_index, options.build_indexes, to.build_indexes);
  }
  if (auto* role = config.agent.get()) {
    agent::AgentOptions& to = role->settings.options;
    settle(*role, "tracker.hosts", Role::tracker, options.trackers, to.trackers);
    settle(*role, "build_index.hosts", Role::build_index, options.build_indexes, to.build_indexes);
    settled.push_back(check_hosts(*role, "origin.hosts", to.origins));
    // Without a word the agent knows no origins: the trackers tell it of those that matter.
    if (!options.origins.empty()) {
      to.origins = cluster::HostsOptions(options.origins);
      role->table.set_by_flag("origin.hosts.static", "--origin");
    }
  }
  for (const Result<void>& result : settled) {
    if (!result) return result;
  }
  return {};
}

Result<void> check_tls_server(const Component& component, const TlsConfig& tls) {
  const std::pair<const char*, bool> missing[] = {{"tls.server.cert.path", tls.server.cert.empty()},
                                                  {"tls.server.key.path", tls.server.key.empty()},
                                                  {"tls.cas", tls.cas.empty()}};
  for (const auto& [key, absent] : missing) {
    if (!absent) continue;
    return fail(Errc::invalid_argument, "{}: {} is missing: name it, or set tls.server.disabled to true",
                to_string(component.role), key);
  }
  return {};
}

/// In the reference an absent switch means "on"; here that holds once a file speaks of TLS at all.
Result<void> settle_tls(Component& component) {
  ConfigTable& table = component.table;
  TlsConfig& tls = component.common().tls;
  if (!table.mentions("tls")) return {};
  for (auto [path, side] :
       {std::pair("tls.server.disabled", &tls.server), {"tls.client.disabled", &tls.client}}) {
    if (table.given(path)) continue;
    side->disabled = false;
    table.explain_default(path, "default: on, because there is a tls block");
  }
  return tls.server.disabled ? Result<void>{} : check_tls_server(component, tls);
}

}  // namespace

std::vector<Component*> Config::components() const {
  std::vector<Component*> all;
  for (Component* component : std::initializer_list<Component*>{origin.get(), build_index.get(),
                                                                tracker.get(), proxy.get(), agent.get()}) {
    if (component != nullptr) all.push_back(component);
  }
  return all;
}

std::string data_dir_of(const Options& options) {
  if (options.data_dir) return *options.data_dir;
  return fmt::format("/var/lib/krakend/{}", options.single() ? to_string(*options.roles.begin()) : "herd");
}

std::vector<Error> Config::errors() const {
  std::vector<Error> all;
  for (Component* component : components()) {
    for (const ConfigProblem& problem : component->table.problems()) {
      if (!problem.unknown_key || !component->common().unknown_keys_warn) all.push_back(problem.error);
    }
  }
  return all;
}

Config default_config(const Options& options) {
  Config config;
  config.origin = make_component<OriginConfig>(options, Role::origin);
  config.build_index = make_component<BuildIndexConfig>(options, Role::build_index);
  config.tracker = make_component<TrackerConfig>(options, Role::tracker);
  config.proxy = make_component<ProxyConfig>(options, Role::proxy);
  config.agent = make_component<AgentConfig>(options, Role::agent);
  return config;
}

Result<Config> read_config(const Options& options, io::Disk& disk) {
  Config config = default_config(options);
  if (options.config_file) {
    if (Result<void> done = apply_file(disk, config, *options.config_file, false); !done)
      return propagate(done);
  }
  if (options.secrets_file) {
    if (Result<void> done = apply_file(disk, config, *options.secrets_file, true); !done)
      return propagate(done);
  }
  if (!config.errors().empty()) return config;  // nothing more can be said of it
  if (auto settled = settle_all_hosts(config, options); !settled) return propagate(settled);
  for (Component* component : config.components()) {
    if (Result<void> settled = settle_tls(*component); !settled) return propagate(settled);
    if (options.log_level) component->common().log.level = *options.log_level;
    if (options.log_level) component->table.set_by_flag("zap.level", "--log-level");
    if (options.log_json) component->common().log.json = *options.log_json;
    if (options.log_json) component->table.set_by_flag("zap.encoding", "--log-json");
  }
  return config;
}

Result<Config> load_config(const Options& options, io::Disk& disk) {
  Result<Config> config = read_config(options, disk);
  if (!config) return config;
  std::vector<Error> errors = config->errors();
  if (errors.empty()) return config;
  Error first = std::move(errors.front());
  if (errors.size() > 1)
    first.message += fmt::format(" ({} more: krakend config check lists them)", errors.size() - 1);
  return fail(std::move(first));
}

}  // namespace krakend::daemon
