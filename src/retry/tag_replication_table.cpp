#include <SQLiteCpp/SQLiteCpp.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "krakend/retry/task_table.h"
#include "retry/reference_tables.h"

namespace krakend::retry {
namespace {

/// Tasks of tags that came from another cluster. The reference reads whole rows of its own table: a column
/// more would be an error to it.
constexpr const char* forwarded_table = R"(CREATE TABLE IF NOT EXISTS krakend_forwarded_tag (
  tag text NOT NULL, destination text NOT NULL, PRIMARY KEY(tag, destination)))";

/// A JSON string, quotes included, or a list of them: as Go encodes digests.
std::string json_of(const Digest& digest) {
  return nlohmann::json(digest.str()).dump();
}
std::string json_of(const std::vector<Digest>& digests) {
  nlohmann::json list = nlohmann::json::array();
  for (const Digest& digest : digests) list.push_back(digest.str());
  return list.dump();
}

void exec(SQLite::Database& file, const char* sql, const std::string& tag, const std::string& destination) {
  SQLite::Statement row(file, sql);
  row.bind(1, tag);
  row.bind(2, destination);
  row.exec();
}

/// Before its row is there: only a task that is new is marked.
constexpr const char* mark_new = R"(INSERT OR IGNORE INTO krakend_forwarded_tag (tag, destination)
  SELECT ?1, ?2 WHERE NOT EXISTS (SELECT 1 FROM replicate_tag_task WHERE tag = ?1 AND destination = ?2))";
constexpr const char* unmark = "DELETE FROM krakend_forwarded_tag WHERE tag = ? AND destination = ?";

Result<void> insert(SQLite::Database& file, const RetryTask& task) {
  exec(file, task.forwarded ? mark_new : unmark, task.name, task.ns);
  SQLite::Statement row(
      file,
      "INSERT INTO replicate_tag_task (tag, digest, dependencies, destination, last_attempt, status, "
      "failures, delay) VALUES (?, ?, ?, ?, ?, 'pending', 0, ?) ON CONFLICT (tag, destination) DO UPDATE "
      "SET digest = excluded.digest, dependencies = excluded.dependencies, "
      "delay = min(delay, excluded.delay)");
  const std::string digest = json_of(task.digest);
  const std::string dependencies = json_of(task.dependencies);
  row.bind(1, task.name);
  row.bind(2, digest.data(), static_cast<int>(digest.size()));
  row.bind(3, dependencies.data(), static_cast<int>(dependencies.size()));
  row.bind(4, task.ns);
  row.bind(5, never);
  row.bind(6, static_cast<int64_t>(task.delay.count()));
  row.exec();
  return {};
}

Result<void> erase(SQLite::Database& file, const std::string& tag, const std::string& destination) {
  exec(file, "DELETE FROM replicate_tag_task WHERE tag = ? AND destination = ?", tag, destination);
  exec(file, unmark, tag, destination);
  return {};
}

class TagReplicationTable final : public TaskTable {
 public:
  explicit TagReplicationTable(storage::Database& database) : database_(database) {}

  Task<Result<void>> add(RetryTask task) override {
    storage::Database::Job job = [task = std::move(task)](SQLite::Database& file) {
      return insert(file, task);
    };
    co_return co_await database_.run(std::move(job));
  }

  Task<Result<void>> remove(std::string ns, std::string name) override {
    storage::Database::Job job = [ns = std::move(ns), name = std::move(name)](SQLite::Database& file) {
      return erase(file, name, ns);
    };
    co_return co_await database_.run(std::move(job));
  }

  Task<Result<void>> note_failure(std::string ns, std::string name) override {
    storage::Database::Job job = [ns = std::move(ns),
                                  name = std::move(name)](SQLite::Database& file) -> Result<void> {
      exec(file,
           "UPDATE replicate_tag_task SET status = 'failed', failures = failures + 1, last_attempt = "
           "CURRENT_TIMESTAMP WHERE tag = ? AND destination = ?",
           name, ns);
      return {};
    };
    co_return co_await database_.run(std::move(job));
  }

  Result<std::vector<RetryTask>> read() override {
    std::vector<RetryTask> tasks;
    auto read = database_.run_blocking([&tasks](SQLite::Database& file) -> Result<void> {
      SQLite::Statement rows(file,
                             "SELECT tag, destination, created_at, failures, delay, EXISTS (SELECT 1 FROM "
                             "krakend_forwarded_tag f WHERE f.tag = t.tag AND f.destination = t.destination) "
                             "FROM replicate_tag_task t ORDER BY created_at, tag");
      while (rows.executeStep()) {
        RetryTask& task = tasks.emplace_back();
        task.name = rows.getColumn(0).getString();
        task.ns = rows.getColumn(1).getString();
        task.created = parse_time(rows.getColumn(2).getString());
        task.failures = rows.getColumn(3).getUInt();
        task.delay = Duration(rows.getColumn(4).getInt64());
        task.forwarded = rows.getColumn(5).getInt() != 0;
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

Result<std::unique_ptr<TaskTable>> make_tag_replication_table(storage::Database& database) {
  const auto prepare = [](SQLite::Database& file) -> Result<void> {
    if (auto migrated = migrate(file); !migrated) return migrated;
    file.exec(forwarded_table);
    return {};
  };
  if (auto prepared = database.run_blocking(prepare); !prepared) return propagate(prepared);
  return std::unique_ptr<TaskTable>(std::make_unique<TagReplicationTable>(database));
}

}  // namespace krakend::retry
