#include "retry/reference_tables.h"

#include <cstdio>
#include <iterator>

namespace krakend::retry {
namespace {

using std::chrono::system_clock;

/// The reference's migrations, and the table in which it counts them.
constexpr const char* versions_table = R"(CREATE TABLE IF NOT EXISTS goose_db_version (
  id INTEGER PRIMARY KEY AUTOINCREMENT, version_id INTEGER NOT NULL, is_applied INTEGER NOT NULL,
  tstamp TIMESTAMP DEFAULT (datetime('now'))))";
constexpr const char* migrations[] = {
    R"(CREATE TABLE IF NOT EXISTS replicate_tag_task (
  tag text NOT NULL, digest blob NOT NULL, dependencies blob NOT NULL, destination text NOT NULL,
  created_at timestamp DEFAULT CURRENT_TIMESTAMP, last_attempt timestamp NOT NULL, status text NOT NULL,
  failures integer NOT NULL, delay integer NOT NULL, PRIMARY KEY(tag, destination)))",
    R"(CREATE TABLE IF NOT EXISTS writeback_task (
  namespace text NOT NULL, name text NOT NULL, created_at timestamp DEFAULT CURRENT_TIMESTAMP,
  last_attempt timestamp NOT NULL, status text NOT NULL, failures integer NOT NULL, delay integer NOT NULL,
  PRIMARY KEY(namespace, name)))",
    "ALTER TABLE writeback_task ADD COLUMN trace_id text DEFAULT '';"
    "ALTER TABLE writeback_task ADD COLUMN span_id text DEFAULT '';"
    "ALTER TABLE writeback_task ADD COLUMN trace_flags text DEFAULT ''",
};

}  // namespace

Result<void> migrate(SQLite::Database& file) {
  SQLite::Transaction transaction(file);
  file.exec(versions_table);
  int version = file.execAndGet("SELECT coalesce(max(version_id), -1) FROM goose_db_version").getInt();
  const auto note = [&file](int applied) {
    SQLite::Statement row(file, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (?, 1)");
    row.bind(1, applied);
    row.exec();
  };
  if (version < 0) note(version = 0);
  for (; version < static_cast<int>(std::size(migrations)); ++version) {
    file.exec(migrations[version]);
    note(version + 1);
  }
  transaction.commit();
  return {};
}

system_clock::time_point parse_time(const std::string& text) {
  int year = 0;
  unsigned month = 0;
  unsigned day = 0;
  int hour = 0;
  int minute = 0;
  int second = 0;
  if (std::sscanf(text.c_str(), "%4d-%2u-%2u%*c%2d:%2d:%2d", &year, &month, &day, &hour, &minute, &second) !=
      6)
    return {};
  const std::chrono::year_month_day date{std::chrono::year{year}, std::chrono::month{month},
                                         std::chrono::day{day}};
  return std::chrono::sys_days(date) + std::chrono::hours(hour) + std::chrono::minutes(minute) +
         std::chrono::seconds(second);
}

}  // namespace krakend::retry
