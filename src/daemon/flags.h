#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "daemon/options.h"

namespace krakend::daemon {

/// One flag of the command line. The same rows parse, explain themselves in --help and decide which roles
/// they are for.
struct Flag {
  std::string name;
  std::string value;          ///< what it takes, for --help ("PORT"); empty: a switch
  std::set<Role> roles;       ///< empty: every role
  std::string default_value;  ///< for --help; empty: none
  std::string meaning;
  std::function<Result<void>(Options&, const std::string&)> set;
};

std::vector<Flag> make_flag_table();

/// The value of --role: names with commas between them; herd is the server roles.
Result<void> parse_roles(Options& options, const std::string& text);
/// Whether a text is HOST:PORT, as flags that name a host take it.
Result<void> check_host_port(const std::string& text);

}  // namespace krakend::daemon
