#pragma once

#include <SQLiteCpp/SQLiteCpp.h>

#include <chrono>
#include <string>

#include "krakend/core/result.h"

namespace krakend::retry {

/// What Go writes for "never".
inline constexpr const char* never = "0001-01-01 00:00:00+00:00";

/// Makes and migrates the reference's tables (contract backends-replication §7); every database holds both.
Result<void> migrate(SQLite::Database& file);

/// "YYYY-MM-DD HH:MM:SS" in UTC, as CURRENT_TIMESTAMP is; what follows is ignored. 1970 when it is no time.
std::chrono::system_clock::time_point parse_time(const std::string& text);

}  // namespace krakend::retry
