#include <SQLiteCpp/SQLiteCpp.h>

#include <cstdio>
#include <utility>

#include "krakend/retry/task_table.h"

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
/// What Go writes for "never".
constexpr const char* never = "0001-01-01 00:00:00+00:00";

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

/// "YYYY-MM-DD HH:MM:SS" in UTC, as CURRENT_TIMESTAMP is; what follows is ignored.
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

class WriteBackTable final : public TaskTable {
 public:
  explicit WriteBackTable(storage::Database& database) : database_(database) {}

  Task<Result<void>> add(RetryTask task) override {
    storage::Database::Job job = [task = std::move(task)](SQLite::Database& file) -> Result<void> {
      SQLite::Statement row(
          file,
          "INSERT OR IGNORE INTO writeback_task (namespace, name, last_attempt, status, failures, "
          "delay) VALUES (?, ?, ?, 'pending', 0, ?)");
      row.bind(1, task.ns);
      row.bind(2, task.name);
      row.bind(3, never);
      row.bind(4, static_cast<int64_t>(task.delay.count()));
      row.exec();
      return {};
    };
    co_return co_await database_.run(std::move(job));
  }

  Task<Result<void>> remove(std::string ns, std::string name) override {
    storage::Database::Job job = [ns = std::move(ns),
                                  name = std::move(name)](SQLite::Database& file) -> Result<void> {
      SQLite::Statement row(file, "DELETE FROM writeback_task WHERE namespace = ? AND name = ?");
      row.bind(1, ns);
      row.bind(2, name);
      row.exec();
      return {};
    };
    co_return co_await database_.run(std::move(job));
  }

  Task<Result<void>> note_failure(std::string ns, std::string name) override {
    storage::Database::Job job = [ns = std::move(ns),
                                  name = std::move(name)](SQLite::Database& file) -> Result<void> {
      SQLite::Statement row(
          file,
          "UPDATE writeback_task SET status = 'failed', failures = failures + 1, last_attempt = "
          "CURRENT_TIMESTAMP WHERE namespace = ? AND name = ?");
      row.bind(1, ns);
      row.bind(2, name);
      row.exec();
      return {};
    };
    co_return co_await database_.run(std::move(job));
  }

  Result<std::vector<RetryTask>> read() override {
    std::vector<RetryTask> tasks;
    auto read = database_.run_blocking([&tasks](SQLite::Database& file) -> Result<void> {
      SQLite::Statement rows(
          file,
          "SELECT namespace, name, created_at, failures, delay FROM writeback_task ORDER BY "
          "created_at, name");
      while (rows.executeStep()) {
        tasks.push_back({rows.getColumn(0).getString(), rows.getColumn(1).getString(),
                         Duration(rows.getColumn(4).getInt64()), parse_time(rows.getColumn(2).getString()),
                         rows.getColumn(3).getUInt()});
      }
      return {};
    });
    if (!read) return propagate(read);
    return tasks;
  }

 private:
  storage::Database& database_;
};

}  // namespace

Result<std::unique_ptr<TaskTable>> make_write_back_table(storage::Database& database) {
  if (auto migrated = database.run_blocking(migrate); !migrated) return propagate(migrated);
  return std::unique_ptr<TaskTable>(std::make_unique<WriteBackTable>(database));
}

}  // namespace krakend::retry
