#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "krakend/core/log.h"
#include "krakend/core/result.h"

namespace krakend::daemon {

/// In the order in which they start: each one finds those it depends on already listening.
enum class Role { origin, build_index, tracker, proxy, agent };
std::string_view to_string(Role role);

/// What the command line said; unset means "not said".
struct Options {
  std::set<Role> roles;
  bool herd = false;  ///< holds origin, build-index, tracker and proxy
  std::optional<std::string> config_file;
  std::optional<std::string> secrets_file;
  std::string cluster;
  std::string zone;
  unsigned mutex_profile_fraction = 0;  ///< of the reference's profiler; without effect

  std::optional<std::string> listen_address;
  std::optional<std::string> data_dir;
  std::optional<std::string> peer_ip;
  std::optional<std::string> blobserver_hostname;
  std::vector<uint16_t> ports;  ///< --port
  std::vector<uint16_t> proxy_ports;
  std::optional<uint16_t> peer_port;
  std::optional<uint16_t> agent_peer_port;
  std::optional<uint16_t> agent_server_port;
  std::optional<uint16_t> agent_registry_port;
  std::optional<uint16_t> blobserver_port;
  std::optional<uint16_t> tracker_port;
  std::optional<uint16_t> build_index_port;

  std::vector<std::string> trackers;
  std::vector<std::string> build_indexes;
  std::vector<std::string> origins;

  std::optional<LogLevel> log_level;
  std::optional<bool> log_json;
  bool print_config = false;

  bool has(Role role) const { return roles.contains(role); }
  bool single() const { return roles.size() == 1; }
};

/// What the command line asks for: run with `options`, or print `text` and leave.
struct Command {
  Options options;
  std::optional<std::string> text;
};

/// `args` without the program's name. Flags in Go's spelling ("-name v", "-name=v", "--name v"; contract
/// config-ops §3) and in the usual one. Every error is wrong usage: one line.
Result<Command> parse_command_line(const std::vector<std::string>& args);

std::string version_text();

}  // namespace krakend::daemon
