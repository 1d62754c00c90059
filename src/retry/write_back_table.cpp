#include <SQLiteCpp/SQLiteCpp.h>

#include <utility>

#include "krakend/retry/task_table.h"
#include "retry/reference_tables.h"

namespace krakend::retry {
namespace {

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
