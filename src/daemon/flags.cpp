#include "daemon/flags.h"

#include <charconv>

#include "daemon/suggest.h"
#include "krakend/io/net.h"

namespace krakend::daemon {
namespace {

const std::set<Role> peers{Role::agent, Role::origin};
const std::set<Role> of_origins{Role::tracker, Role::build_index, Role::proxy, Role::agent};
const std::set<Role> ported{Role::tracker, Role::build_index, Role::proxy};

template <class T>
Result<T> parse_number(const std::string& text, std::string_view what) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) {
    return fail(Errc::invalid_argument, "expected {}, found \"{}\"", what, text);
  }
  return value;
}

Result<bool> parse_switch(const std::string& text) {
  if (text == "1" || text == "t" || text == "T" || text == "true" || text == "TRUE" || text == "True")
    return true;
  if (text == "0" || text == "f" || text == "F" || text == "false" || text == "FALSE" || text == "False")
    return false;
  return fail(Errc::invalid_argument, "expected true or false, found \"{}\"", text);
}

auto port(std::optional<uint16_t> Options::*member) {
  return [member](Options& options, const std::string& text) -> Result<void> {
    Result<uint16_t> value = parse_number<uint16_t>(text, "a port from 0 to 65535");
    if (!value) return propagate(value);
    options.*member = *value;
    return {};
  };
}

auto port_list(std::vector<uint16_t> Options::*member) {
  return [member](Options& options, const std::string& text) -> Result<void> {
    Result<uint16_t> value = parse_number<uint16_t>(text, "a port from 0 to 65535");
    if (!value) return propagate(value);
    (options.*member).push_back(*value);
    return {};
  };
}

auto host_list(std::vector<std::string> Options::*member) {
  return [member](Options& options, const std::string& text) -> Result<void> {
    if (Result<void> checked = check_host_port(text); !checked) return checked;
    (options.*member).push_back(text);
    return {};
  };
}

auto words(std::optional<std::string> Options::*member) {
  return [member](Options& options, const std::string& text) -> Result<void> {
    if (text.empty()) {
      (options.*member).reset();
    } else {
      options.*member = text;
    }
    return {};
  };
}

auto word(std::string Options::*member) {
  return [member](Options& options, const std::string& text) -> Result<void> {
    options.*member = text;
    return {};
  };
}

Result<void> set_log_level(Options& options, const std::string& text) {
  constexpr std::pair<std::string_view, LogLevel> levels[] = {{"debug", LogLevel::debug},
                                                              {"info", LogLevel::info},
                                                              {"warn", LogLevel::warn},
                                                              {"error", LogLevel::error}};
  for (const auto& [name, level] : levels) {
    if (name != text) continue;
    options.log_level = level;
    return {};
  }
  return fail(Errc::invalid_argument, "expected debug, info, warn or error, found \"{}\"", text);
}

Result<void> set_log_json(Options& options, const std::string& text) {
  Result<bool> value = parse_switch(text);
  if (!value) return propagate(value);
  options.log_json = *value;
  return {};
}

Result<void> set_print_config(Options& options, const std::string& text) {
  Result<bool> value = parse_switch(text);
  if (!value) return propagate(value);
  options.print_config = *value;
  return {};
}

Result<void> set_mutex_profile(Options& options, const std::string& text) {
  Result<unsigned> value = parse_number<unsigned>(text, "an integer");
  if (!value) return propagate(value);
  options.mutex_profile_fraction = *value;
  return {};
}

void add_general(std::vector<Flag>& table) {
  table.push_back(
      {"role",
       "ROLE[,ROLE...]",
       {},
       "",
       "What this process is: agent, origin, tracker, build-index, proxy; herd = the last four, plus an "
       "agent when an agent port is given. Required",
       parse_roles});
  table.push_back({"config",
                   "FILE",
                   {},
                   "",
                   "YAML configuration; without it built-in defaults hold",
                   words(&Options::config_file)});
  table.push_back({"secrets",
                   "FILE",
                   {},
                   "",
                   "YAML applied after --config, never printed",
                   words(&Options::secrets_file)});
  table.push_back({"data-dir",
                   "DIR",
                   {},
                   "/var/lib/krakend/<role>, for several roles /var/lib/krakend/herd",
                   "Where everything that lasts is kept",
                   words(&Options::data_dir)});
  table.push_back({"listen-address",
                   "IP",
                   {},
                   "0.0.0.0; 127.0.0.1 for a herd without --config",
                   "Address that every port listens on",
                   words(&Options::listen_address)});
  table.push_back({"tracker",
                   "HOST:PORT",
                   {Role::agent},
                   "the tracker in this process, else 127.0.0.1:15003",
                   "Tracker to use; repeatable",
                   host_list(&Options::trackers)});
  table.push_back({"build-index",
                   "HOST:PORT",
                   {Role::agent, Role::proxy},
                   "the build-index in this process, else 127.0.0.1:15004",
                   "Build-index to use; repeatable",
                   host_list(&Options::build_indexes)});
  table.push_back({"origin", "HOST:PORT", of_origins, "the origin in this process, else 127.0.0.1:15002",
                   "Origin to use; repeatable. For an agent: asked while no tracker answers, default none",
                   host_list(&Options::origins)});
  table.push_back({"log-level", "LEVEL", {}, "info", "debug, info, warn or error", set_log_level});
  table.push_back({"log-json", "", {}, "", "One JSON object per log line", set_log_json});
  table.push_back(
      {"print-config", "", {}, "", "Print the effective configuration as YAML and leave", set_print_config});
}

void add_ports(std::vector<Flag>& table) {
  table.push_back({"port", "PORT", ported, "as --tracker-port, --build-index-port, --proxy-port",
                   "Port of a tracker, build-index or proxy that is alone; repeatable for a proxy",
                   port_list(&Options::ports)});
  table.push_back({"proxy-port",
                   "PORT",
                   {Role::proxy},
                   "15000",
                   "Registry of the proxy; repeatable",
                   port_list(&Options::proxy_ports)});
  table.push_back({"peer-port", "PORT", peers, "15001; 16001 for an agent without origin",
                   "P2P port of the origin, or of the agent when there is no origin",
                   port(&Options::peer_port)});
  table.push_back({"blobserver-port",
                   "PORT",
                   {Role::origin},
                   "15002",
                   "HTTP port of the origin",
                   port(&Options::blobserver_port)});
  table.push_back({"tracker-port",
                   "PORT",
                   {Role::tracker},
                   "15003",
                   "HTTP port of the tracker",
                   port(&Options::tracker_port)});
  table.push_back({"build-index-port",
                   "PORT",
                   {Role::build_index},
                   "15004",
                   "HTTP port of the build-index",
                   port(&Options::build_index_port)});
  table.push_back({"agent-registry-port",
                   "PORT",
                   {Role::agent},
                   "16000",
                   "Registry of the agent",
                   port(&Options::agent_registry_port)});
  table.push_back({"agent-peer-port",
                   "PORT",
                   {Role::agent},
                   "16001",
                   "P2P port of the agent",
                   port(&Options::agent_peer_port)});
  table.push_back({"agent-server-port",
                   "PORT",
                   {Role::agent},
                   "16002",
                   "HTTP API of the agent",
                   port(&Options::agent_server_port)});
}

void add_identity(std::vector<Flag>& table) {
  table.push_back({"peer-ip", "IP", peers,
                   "the listen address, or the first address of eth0, ib0, eth1, eth2",
                   "IP announced to other peers", words(&Options::peer_ip)});
  table.push_back({"blobserver-hostname",
                   "NAME",
                   {Role::origin},
                   "the host's name",
                   "Name under which this origin stands in cluster.static",
                   words(&Options::blobserver_hostname)});
  table.push_back({"zone", "NAME", peers, "", "Zone told to others", word(&Options::zone)});
  table.push_back({"cluster", "NAME", {}, "", "Cluster told to others", word(&Options::cluster)});
  table.push_back({"mutex-profile-fraction",
                   "N",
                   {},
                   "0",
                   "Accepted for compatibility; has no effect",
                   set_mutex_profile});
}

}  // namespace

Result<void> parse_roles(Options& options, const std::string& text) {
  const std::vector<std::string> names{"agent", "origin", "tracker", "build-index", "proxy", "herd"};
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::string name = text.substr(begin, end - begin);
    begin = end + 1;
    if (name == "herd") {
      options.roles.insert({Role::origin, Role::build_index, Role::tracker, Role::proxy});
      options.herd = true;
      continue;
    }
    bool known = false;
    for (const Role role : {Role::origin, Role::build_index, Role::tracker, Role::proxy, Role::agent}) {
      if (to_string(role) != name) continue;
      options.roles.insert(role);
      known = true;
    }
    if (known) continue;
    const std::string meant = nearest(name, names);
    return fail(Errc::invalid_argument,
                "unknown role \"{}\"{}; roles are agent, origin, tracker, build-index, proxy, herd", name,
                meant.empty() ? "" : fmt::format(" (did you mean {}?)", meant));
  }
  return {};
}

Result<void> check_host_port(const std::string& text) {
  const Result<io::Address> address = io::Address::parse(text);
  if (address && address->port != 0) return {};
  return fail(Errc::invalid_argument, "expected HOST:PORT, found \"{}\"", text);
}

std::vector<Flag> make_flag_table() {
  std::vector<Flag> table;
  add_general(table);
  add_ports(table);
  add_identity(table);
  return table;
}

}  // namespace krakend::daemon
