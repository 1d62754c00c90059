#include "daemon/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>

#include "daemon/flags.h"
#include "daemon/suggest.h"

namespace krakend::daemon {
namespace {

constexpr std::string_view see_help = "krakend --help lists the flags";

const Flag* find_flag(const std::vector<Flag>& table, std::string_view name) {
  const auto it =
      std::find_if(table.begin(), table.end(), [&](const Flag& flag) { return flag.name == name; });
  return it == table.end() ? nullptr : &*it;
}

tl::unexpected<Error> unknown_flag(const std::vector<Flag>& table, std::string_view name) {
  std::vector<std::string> names{"help", "version"};
  for (const Flag& flag : table) names.push_back(flag.name);
  const std::string meant = nearest(name, names);
  return fail(Errc::invalid_argument, "unknown flag --{}{}; {}", name,
              meant.empty() ? "" : fmt::format(" (did you mean --{}?)", meant), see_help);
}

/// Rewrites Go's spellings into "--name" followed by its value, for switches "--name=true". Go takes the
/// argument after a valued flag whatever it looks like.
Result<std::vector<std::string>> normalise(const std::vector<Flag>& table,
                                           const std::vector<std::string>& args) {
  std::vector<std::string> normal;
  for (size_t i = 0; i < args.size(); ++i) {
    const std::string& arg = args[i];
    if (arg == "-h") {
      normal.emplace_back("--help");
      continue;
    }
    if (!arg.starts_with('-') || arg == "-" || arg == "--") {
      return fail(Errc::invalid_argument, "unexpected argument \"{}\"; {}", arg, see_help);
    }
    const std::string_view body = std::string_view(arg).substr(arg.starts_with("--") ? 2 : 1);
    const size_t equals = body.find('=');
    const std::string name(body.substr(0, equals));
    if (name == "help" || name == "version") {
      normal.push_back("--" + name);
      continue;
    }
    const Flag* flag = find_flag(table, name);
    if (flag == nullptr) return unknown_flag(table, name);
    if (flag->value.empty()) {
      normal.push_back("--" + name + "=" +
                       (equals == body.npos ? "true" : std::string(body.substr(equals + 1))));
      continue;
    }
    normal.push_back("--" + name);
    if (equals != body.npos) {
      normal.emplace_back(body.substr(equals + 1));
    } else if (i + 1 < args.size()) {
      normal.push_back(args[++i]);
    } else {
      return fail(Errc::invalid_argument, "flag --{} needs a value ({}); {}", name, flag->value, see_help);
    }
  }
  return normal;
}

std::string role_names(const std::set<Role>& roles) {
  std::string names;
  for (const Role role : roles) names += fmt::format("{}{}", names.empty() ? "" : ", ", to_string(role));
  return names;
}

/// Flags that none of the roles knows are as wrong as flags that nobody knows.
Result<void> check_roles(const Options& options, const std::vector<const Flag*>& given) {
  if (options.roles.empty()) {
    return fail(
        Errc::invalid_argument,
        "--role is missing: agent, origin, tracker, build-index, proxy, or herd for a whole registry");
  }
  for (const Flag* flag : given) {
    const bool used =
        flag->roles.empty() || std::any_of(options.roles.begin(), options.roles.end(),
                                           [&](Role role) { return flag->roles.contains(role); });
    if (!used) {
      return fail(Errc::invalid_argument, "flag --{} is for role {}, not for {}; {}", flag->name,
                  role_names(flag->roles), role_names(options.roles), see_help);
    }
  }
  return {};
}

/// Gives --port and --peer-port the meaning they have for the roles at hand.
Result<void> assign_ports(Options& options) {
  if (!options.ports.empty()) {
    const auto ported = std::count_if(options.roles.begin(), options.roles.end(),
                                      [](Role role) { return role != Role::origin && role != Role::agent; });
    if (ported > 1) {
      return fail(
          Errc::invalid_argument,
          "--port is ambiguous for several roles; use --proxy-port, --tracker-port, --build-index-port");
    }
    if (options.has(Role::proxy)) {
      options.proxy_ports.insert(options.proxy_ports.end(), options.ports.begin(), options.ports.end());
    } else if (options.has(Role::tracker)) {
      options.tracker_port = options.ports.back();
    } else {
      options.build_index_port = options.ports.back();
    }
  }
  if (options.peer_port && !options.has(Role::origin) && !options.agent_peer_port) {
    options.agent_peer_port = options.peer_port;
  }
  return {};
}

void settle_herd(Options& options) {
  if (options.herd && (options.agent_registry_port || options.agent_server_port || options.agent_peer_port)) {
    options.roles.insert(Role::agent);
  }
  const std::set<Role> herd{Role::origin, Role::build_index, Role::tracker, Role::proxy};
  options.herd = std::includes(options.roles.begin(), options.roles.end(), herd.begin(), herd.end());
}

/// CLI11 owns the grammar from here on: repeated flags, help, version.
struct Grammar {
  CLI::App app{"krakend: a peer-to-peer container registry", "krakend"};
  std::map<std::string, std::vector<std::string>> values;
};

void declare(Grammar& grammar, const std::vector<Flag>& table) {
  CLI::App& app = grammar.app;
  app.set_help_flag("-h,--help", "Print this help and leave");
  app.set_version_flag("--version", version_text(), "Print the version and leave");
  app.footer(
      "krakend gc --help: the garbage collector. krakend config --help: checks configuration files. Port 0 "
      "picks a free port; the log tells it. Flags may be "
      "spelt -name value, -name=value or "
      "--name=value.");
  for (const Flag& flag : table) {
    std::string text = flag.meaning + ".";
    if (!flag.roles.empty()) text += " For " + role_names(flag.roles) + ".";
    if (!flag.default_value.empty()) text += " Default: " + flag.default_value;
    std::vector<std::string>& bucket = grammar.values[flag.name];
    CLI::Option* option = app.add_option("--" + flag.name, bucket, text)->allow_extra_args(false);
    option->type_name(flag.value.empty() ? "[=true|false]" : flag.value);
  }
}

Result<Command> interpret(const std::vector<Flag>& table, const Grammar& grammar) {
  Command command;
  std::vector<const Flag*> given;
  for (const Flag& flag : table) {
    const std::vector<std::string>& values = grammar.values.at(flag.name);
    if (!values.empty()) given.push_back(&flag);
    for (const std::string& value : values) {
      if (Result<void> set = flag.set(command.options, value); !set) {
        return fail(set.error().code, "--{}: {}", flag.name, set.error().message);
      }
    }
  }
  settle_herd(command.options);
  if (Result<void> checked = check_roles(command.options, given); !checked) return propagate(checked);
  if (Result<void> assigned = assign_ports(command.options); !assigned) return propagate(assigned);
  return command;
}

}  // namespace

std::string_view to_string(Role role) {
  switch (role) {
    case Role::origin:
      return "origin";
    case Role::build_index:
      return "build-index";
    case Role::tracker:
      return "tracker";
    case Role::proxy:
      return "proxy";
    case Role::agent:
      return "agent";
  }
  return "";
}

std::string version_text() {
  return "krakend " KRAKEND_VERSION;
}

Result<Command> parse_command_line(const std::vector<std::string>& args) {
  const std::vector<Flag> table = make_flag_table();
  Result<std::vector<std::string>> normal = normalise(table, args);
  if (!normal) return propagate(normal);
  Grammar grammar;
  declare(grammar, table);
  std::reverse(normal->begin(), normal->end());  // CLI11 takes them from the back
  try {
    grammar.app.parse(*normal);
  } catch (const CLI::CallForHelp&) {
    return Command{{}, grammar.app.help()};
  } catch (const CLI::CallForVersion&) {
    return Command{{}, version_text() + "\n"};
  } catch (const CLI::ParseError& error) {
    return fail(Errc::invalid_argument, "{}; {}", error.what(), see_help);
  }
  return interpret(table, grammar);
}

}  // namespace krakend::daemon
