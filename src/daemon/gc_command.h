#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "krakend/core/log.h"
#include "krakend/core/result.h"
#include "krakend/io/tls.h"
#include "roles/gc/gc.h"

namespace krakend::daemon {

struct GcCommand {
  gc::CollectorOptions options;
  /// nullopt: plain HTTP.
  std::optional<io::TlsClientOptions> tls;
  LogLevel log_level = LogLevel::warn;
};

/// `args` behind "gc": the command, or a text to print.
Result<std::variant<GcCommand, std::string>> parse_gc(const std::vector<std::string>& args);

/// Collects garbage in a running cluster: what happens goes to standard output, complaints to standard error.
/// Exit status.
int run_gc(const GcCommand& command);

}  // namespace krakend::daemon
