#include "daemon/config_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>

#include "daemon/config_file.h"
#include "daemon/config_reference.h"
#include "daemon/flags.h"
#include "daemon/plan.h"
#include "krakend/io/system.h"

namespace krakend::daemon {
namespace {

constexpr const char* about = "Look at configuration files without starting anything.";
constexpr const char* notes =
    "Without --role a file is judged as what it fits best: a block per role, or the file of one role.";

std::set<Role> all_roles() {
  return {Role::origin, Role::build_index, Role::tracker, Role::proxy, Role::agent};
}

std::string names_of(const std::set<Role>& roles) {
  std::string names;
  for (const Role role : roles) names += fmt::format("{}{}", names.empty() ? "" : ", ", to_string(role));
  return names;
}

struct Finding {
  std::vector<Error> errors;
  size_t known = 0;  ///< keys and blocks that these roles have
};

/// What is wrong with the file for these roles.
Finding judge(const std::set<Role>& roles, const ConfigCommand& command, const std::string& file,
              io::Disk& disk) {
  Options options;
  options.roles = roles;
  options.config_file = file;
  options.peer_ip = "127.0.0.1";  // of this host nothing is asked
  if (!command.secrets_file.empty()) options.secrets_file = command.secrets_file;
  Result<Config> config = read_config(options, disk);
  if (!config) return {{config.error()}, 0};
  Finding finding{config->errors(), 0};
  for (const Component* component : config->components()) finding.known += component->table.known();
  if (!finding.errors.empty()) return finding;
  const std::unique_ptr<io::Random> random = io::make_system_random();
  const Result<Plan> plan = make_plan(options, *config, {"127.0.0.1", "localhost"}, *random);
  if (!plan) finding.errors.push_back(plan.error());
  return finding;
}

/// Whether a key and its block are what a process with several roles has at the top. "origin:" and "tracker:"
/// are blocks of other roles too, and tell of hosts there.
bool is_role_block(const YAML::Node& key, const YAML::Node& block) {
  const std::set<Role> roles = all_roles();
  const auto is_named = [&](Role role) { return key.IsScalar() && key.Scalar() == to_string(role); };
  if (std::none_of(roles.begin(), roles.end(), is_named)) return false;
  return !block.IsMap() || (!block["hosts"] && !block["healthcheck"]);
}

bool has_role_blocks(const std::string& file, io::Disk& disk) {
  const Result<std::vector<ConfigDocument>> chain = load_config_chain(disk, file);
  if (!chain) return false;
  for (const ConfigDocument& document : *chain) {
    if (!document.root.IsMap()) continue;
    for (const auto& [key, block] : mapping_pairs(document.root)) {
      if (is_role_block(key, block)) return true;
    }
  }
  return false;
}

/// Whoever knows most of the file's keys; of those, whoever has least against it.
std::set<Role> likely_roles(const ConfigCommand& command, const std::string& file, io::Disk& disk) {
  if (has_role_blocks(file, disk)) return all_roles();
  std::set<Role> best;
  Finding best_finding;
  for (const Role role : all_roles()) {
    Finding finding = judge({role}, command, file, disk);
    const bool better =
        finding.known > best_finding.known ||
        (finding.known == best_finding.known && finding.errors.size() < best_finding.errors.size());
    if (!best.empty() && !better) continue;
    best = {role};
    best_finding = std::move(finding);
  }
  return best;
}

}  // namespace

Result<ConfigCommand> parse_config_command(const std::vector<std::string>& args) {
  ConfigCommand command;
  std::string role_text;
  CLI::App app{about, "krakend config"};
  app.footer(notes);
  app.require_subcommand(1);
  CLI::App* check = app.add_subcommand("check", "Say all that is wrong with files; exit status 1 if any is");
  CLI::App* schema = app.add_subcommand("schema", "Print a JSON schema");
  app.add_subcommand("docs", "Print the page docs/configuration.md");
  for (CLI::App* one : {check, schema})
    one->add_option("--role", role_text, "ROLE[,ROLE...]; herd for a block per role");
  check->add_option("--secrets", command.secrets_file, "A file that is applied after each of them");
  check->add_option("FILE", command.files, "YAML files")->required();
  std::vector<std::string> reversed(args.rbegin(), args.rend());
  try {
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    command.text = app.help();
    return command;
  } catch (const CLI::ParseError& error) {
    return fail(Errc::invalid_argument, "config: {}; krakend config --help tells more", error.what());
  }
  command.action = check->parsed()    ? ConfigCommand::Action::check
                   : schema->parsed() ? ConfigCommand::Action::schema
                                      : ConfigCommand::Action::docs;
  if (!role_text.empty()) {
    Options options;
    if (Result<void> set = parse_roles(options, role_text); !set) return propagate(set);
    command.roles = options.roles;
  }
  return command;
}

ConfigVerdict check_config_file(const ConfigCommand& command, const std::string& file, io::Disk& disk) {
  const std::set<Role> roles = command.roles.empty() ? likely_roles(command, file, disk) : command.roles;
  const std::vector<Error> errors = judge(roles, command, file, disk).errors;
  if (errors.empty()) return {fmt::format("{}: good for {}\n", file, names_of(roles)), true};
  std::string text;
  for (const Error& error : errors) text += error.message + "\n";
  text += fmt::format("{}: not good for {}: {} to be put right\n", file, names_of(roles), errors.size());
  return {std::move(text), false};
}

int run_config(const ConfigCommand& command) {
  using Action = ConfigCommand::Action;
  if (command.action == Action::help) {
    fmt::print("{}", command.text);
    return 0;
  }
  if (command.action == Action::docs) {
    fmt::print("{}", config_page());
    return 0;
  }
  if (command.action == Action::schema) {
    Options options;
    options.roles = command.roles.empty() ? all_roles() : command.roles;
    fmt::print("{}", config_schema(options));
    return 0;
  }
  const std::unique_ptr<io::Disk> disk = io::make_posix_disk();
  bool good = true;
  for (const std::string& file : command.files) {
    const ConfigVerdict verdict = check_config_file(command, file, *disk);
    fmt::print(verdict.good ? stdout : stderr, "{}", verdict.text);
    good = good && verdict.good;
  }
  return good ? 0 : 1;
}

}  // namespace krakend::daemon
