#pragma once

#include <string>

#include "daemon/config.h"

namespace krakend::daemon {

/// The page docs/configuration.md: every key of every role, made of the tables.
std::string config_page();

/// JSON schema of the file of `options`' roles: one role's own keys, or a block for each of several.
std::string config_schema(const Options& options);

}  // namespace krakend::daemon
