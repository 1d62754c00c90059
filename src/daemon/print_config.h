#pragma once

#include <string>

#include "daemon/config.h"
#include "daemon/plan.h"

namespace krakend::daemon {

/// What --print-config prints: YAML that --config takes, every value with its origin; the flags that hold
/// stand above it as comments.
std::string print_config(const Options& options, const Config& config, const Plan& plan);

}  // namespace krakend::daemon
