#include "krakend/retry/retry_queue.h"

#include <SQLiteCpp/SQLiteCpp.h>

#include <optional>
#include <set>

#include "krakend/io/system.h"
#include "support/catch.h"
#include "support/fake_clock.h"
#include "support/run.h"
#include "support/seeded_random.h"
#include "support/temp_dir.h"

namespace krakend::retry {
namespace {

/// A queue over a real database file. Work fails as long as its name is in `failing`.
struct Stage {
  test::TempDir dir;
  io::Loop loop{io::LoopOptions{.pool_threads = 0}};
  test::FakeClock clock;
  test::SeededRandom random{1};
  std::unique_ptr<io::Disk> disk = io::make_posix_disk();
  std::unique_ptr<storage::Database> database;
  std::unique_ptr<TaskTable> table;
  std::unique_ptr<RetryQueue> queue;
  std::optional<io::TaskGroup> runner;
  RetryQueueOptions options;
  std::set<std::string> failing;
  std::vector<std::string> done;
  unsigned attempts = 0;
  /// Called while work is done.
  std::function<Task<>()> meanwhile;
  bool refused = false;

  explicit Stage(RetryQueueOptions wanted = {}) : options(wanted) {
    clock.advance(24h * 365 * 60);
    open();
  }
  ~Stage() { close(); }
  void open() {
    auto opened = storage::Database::open(loop, *disk, dir / "sub" + "/origin.db", Logger());
    REQUIRE(opened);
    database = std::move(*opened);
    auto made = make_write_back_table(*database);
    REQUIRE(made);
    table = std::move(*made);
    queue = std::make_unique<RetryQueue>(
        RetryQueue::Services{loop, clock, random, *table}, options,
        [this](RetryTask task) { return work(task); }, Logger());
    REQUIRE(queue->load());
  }
  void close() {
    test::run(loop, queue->stop());
    queue.reset();
    table.reset();
    test::run(loop, database->stop());
    database.reset();
  }
  void reopen() {
    close();
    open();
  }
  Task<Result<void>> work(RetryTask task) {
    ++attempts;
    const auto first = std::exchange(meanwhile, nullptr);
    if (first) co_await first();
    if (failing.contains(task.name)) co_return fail(Errc::io, "backend is away");
    done.push_back(task.ns + "/" + task.name);
    co_return Result<void>{};
  }
  Result<void> add(const std::string& name, Duration delay = 0s, const std::string& ns = "ns") {
    return test::run(loop, queue->add({ns, name, delay}));
  }
  Result<void> run_now(const std::string& name) { return test::run(loop, queue->run_now(name)); }
  std::vector<RetryTask> rows() { return *table->read(); }
};

TEST_CASE("a task survives a restart until it has succeeded") {
  Stage s;
  s.failing = {"a"};
  REQUIRE(s.add("a"));
  CHECK_FALSE(s.run_now("a"));
  s.reopen();
  CHECK(s.queue->has("a"));
  CHECK(s.queue->status().tasks == 1);
  CHECK(s.queue->status().failing == 1);
  CHECK(s.rows().at(0).failures == 1);
  s.failing.clear();
  CHECK(s.run_now("a"));
  CHECK(s.done == std::vector<std::string>{"ns/a"});
  CHECK_FALSE(s.queue->has("a"));
  CHECK(s.rows().empty());
  s.reopen();
  CHECK(s.queue->status().tasks == 0);
}

TEST_CASE("the same task twice is one, in another namespace it is another") {
  Stage s;
  REQUIRE(s.add("a"));
  REQUIRE(s.add("a", 1h));
  REQUIRE(s.add("a", 0s, "other"));
  CHECK(s.queue->status().tasks == 2);
  CHECK(s.run_now("a"));
  CHECK(s.done.size() == 2);
  CHECK(s.attempts == 2);
}

TEST_CASE("a full queue refuses, and takes again what it has room for") {
  Stage s({.tasks_max = 2});
  REQUIRE(s.add("a"));
  REQUIRE(s.add("b"));
  CHECK(s.add("a"));
  const auto refused = s.add("c");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::unavailable);
  CHECK(s.rows().size() == 2);
  REQUIRE(s.run_now("a"));
  CHECK(s.add("c"));
}

TEST_CASE("tasks run when they are due, and again after a growing pause") {
  Stage s({.backoff = {1s, 2, 8s, 0}});
  s.failing = {"a"};
  io::TaskGroup tasks(s.loop);
  tasks.spawn(s.queue->run(), "queue");
  REQUIRE(s.add("a"));
  const auto pass = [&s](unsigned seconds) {
    for (unsigned i = 0; i < seconds; ++i) {
      for (int round = 0; round < 50; ++round) s.loop.poll();
      s.clock.advance(1s);
    }
    for (int round = 0; round < 50; ++round) s.loop.poll();
  };
  // At 0, 1, 3, 7, 15, 23 s.
  pass(14);
  CHECK(s.attempts == 4);
  pass(9);
  CHECK(s.attempts == 6);
  CHECK(s.queue->status().lag == 23s);
  s.failing.clear();
  pass(8);
  CHECK(s.done.size() == 1);
  CHECK(s.rows().empty());
  test::run(s.loop, tasks.stop());
}

TEST_CASE(
    "setting the clock neither hurries tasks nor puts them off, and a restart does not either for long") {
  Stage s;
  const Duration jump = GENERATE(Duration(24h * 30), Duration(-24h * 30));
  io::TaskGroup tasks(s.loop);
  tasks.spawn(s.queue->run(), "queue");
  REQUIRE(s.add("a", 1min));
  s.clock.wall_ahead = jump;
  const auto pass = [&s](Duration time) {
    for (int round = 0; round < 50; ++round) s.loop.poll();
    s.clock.advance(time);
    for (int round = 0; round < 50; ++round) s.loop.poll();
  };
  for (int i = 0; i < 5; ++i) pass(10s);
  CHECK(s.attempts == 0);
  pass(10s);
  CHECK(s.attempts == 1);
  test::run(s.loop, tasks.stop());
  // A task from the future is put off for its delay, not for a month.
  s.clock.wall_ahead = Duration(24h * 30);
  REQUIRE(s.add("b", 1min));
  s.clock.wall_ahead = Duration(0);
  s.reopen();
  io::TaskGroup again(s.loop);
  again.spawn(s.queue->run(), "queue");
  for (int i = 0; i < 6; ++i) pass(10s);
  CHECK(s.attempts == 2);
  test::run(s.loop, again.stop());
}

TEST_CASE("what is renewed while it runs is run once more, and only then is it gone") {
  Stage s({.renews = true});
  REQUIRE(s.add("a", 1h));
  s.meanwhile = [&s]() -> Task<> {
    RetryTask task;
    task.ns = "ns";
    task.name = "a";
    auto added = co_await s.queue->add(std::move(task));
    s.refused = !added;
  };
  REQUIRE(s.run_now("a"));
  CHECK_FALSE(s.refused);
  CHECK(s.attempts == 2);
  CHECK(s.rows().empty());
  CHECK(s.queue->status().tasks == 0);
}

TEST_CASE("what is renewed while it waits is due at the sooner time") {
  Stage s({.renews = true});
  io::TaskGroup tasks(s.loop);
  tasks.spawn(s.queue->run(), "queue");
  const auto pass = [&s](Duration time) {
    s.clock.advance(time);
    for (int round = 0; round < 50; ++round) s.loop.poll();
  };
  REQUIRE(s.add("a", 1h));
  REQUIRE(s.add("a", 10s));
  REQUIRE(s.add("a", 2h));
  pass(9s);
  CHECK(s.attempts == 0);
  pass(2s);
  CHECK(s.attempts == 1);
  CHECK(s.queue->status().tasks == 0);
  test::run(s.loop, tasks.stop());
}

TEST_CASE("tables of the reference are taken over") {
  Stage s;
  s.close();
  const std::string path = s.dir / "old.db";
  {
    SQLite::Database file(path, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
    file.exec(
        "CREATE TABLE goose_db_version (id INTEGER PRIMARY KEY AUTOINCREMENT, version_id INTEGER NOT NULL, "
        "is_applied INTEGER NOT NULL, tstamp TIMESTAMP DEFAULT (datetime('now')))");
    file.exec("INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, 1), (1, 1), (2, 1)");
    file.exec(
        "CREATE TABLE writeback_task (namespace text NOT NULL, name text NOT NULL, created_at timestamp "
        "DEFAULT "
        "CURRENT_TIMESTAMP, last_attempt timestamp NOT NULL, status text NOT NULL, failures integer NOT "
        "NULL, "
        "delay integer NOT NULL, PRIMARY KEY(namespace, name))");
    file.exec(
        "INSERT INTO writeback_task VALUES ('lib', 'abc', '2024-05-06 07:08:09', '0001-01-01 "
        "00:00:00+00:00', "
        "'failed', 3, 1800000000000)");
  }
  auto database = storage::Database::open(s.loop, *s.disk, path, Logger());
  REQUIRE(database);
  auto table = make_write_back_table(**database);
  REQUIRE(table);
  const auto rows = *(*table)->read();
  REQUIRE(rows.size() == 1);
  CHECK(rows[0].ns == "lib");
  CHECK(rows[0].delay == 30min);
  CHECK(rows[0].failures == 3);
  CHECK(rows[0].created == std::chrono::sys_days(std::chrono::year(2024) / 5 / 6) + 7h + 8min + 9s);
  REQUIRE(test::run(s.loop, (*table)->add({"lib", "def"})));
  (*table).reset();
  test::run(s.loop, (*database)->stop());
  database->reset();
  SQLite::Database file(path, SQLite::OPEN_READONLY);
  CHECK(file.execAndGet("SELECT max(version_id) FROM goose_db_version").getInt() == 3);
  CHECK(file.execAndGet("SELECT trace_id FROM writeback_task WHERE name = 'def'").getString().empty());
  s.open();
}

}  // namespace
}  // namespace krakend::retry
