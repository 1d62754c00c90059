#pragma once

#include <string>
#include <vector>

#include "daemon/options.h"
#include "krakend/io/disk.h"

namespace krakend::daemon {

/// "krakend config ...", for people and for checks before a roll-out. Touches nothing but the files it reads.
struct ConfigCommand {
  enum class Action { check, schema, docs, help };
  Action action = Action::help;
  /// Empty: check finds out, schema shows them all.
  std::set<Role> roles;
  std::string secrets_file;
  std::vector<std::string> files;  ///< of check
  std::string text;                ///< of help
};

/// `args` behind "config".
Result<ConfigCommand> parse_config_command(const std::vector<std::string>& args);

struct ConfigVerdict {
  std::string text;  ///< one line a finding, or one that all is well
  bool good = false;
};
/// All that is wrong with `file`. Without roles it is judged as what it fits best: a file with a block per
/// role, or the file of some role.
ConfigVerdict check_config_file(const ConfigCommand& command, const std::string& file, io::Disk& disk);

/// Answers go to standard output, complaints to standard error. Exit status.
int run_config(const ConfigCommand& command);

}  // namespace krakend::daemon
