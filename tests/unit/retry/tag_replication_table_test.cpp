#include <SQLiteCpp/SQLiteCpp.h>

#include "krakend/io/system.h"
#include "krakend/retry/task_table.h"
#include "support/catch.h"
#include "support/run.h"
#include "support/take.h"
#include "support/temp_dir.h"

namespace krakend::retry {
namespace {

struct Stage {
  test::TempDir dir;
  io::Loop loop{io::LoopOptions{.pool_threads = 0}};
  std::unique_ptr<io::Disk> disk = io::make_posix_disk();
  std::unique_ptr<storage::Database> database;
  std::unique_ptr<TaskTable> table;

  Stage() { open(); }
  ~Stage() { test::run(loop, database->stop()); }
  void open() {
    if (database) test::run(loop, database->stop());
    table.reset();
    database.reset();
    database = test::take(storage::Database::open(loop, *disk, dir / "build-index.db", Logger()));
    table = test::take(make_tag_replication_table(*database));
  }
  void add(const std::string& tag, const std::string& destination, Duration delay, bool forwarded,
           const Digest& digest = Digest::of("image")) {
    RetryTask task{destination, tag, delay};
    task.digest = digest;
    task.dependencies = {Digest::of("layer"), digest};
    task.forwarded = forwarded;
    REQUIRE(test::run(loop, table->add(std::move(task))));
  }
  std::vector<RetryTask> rows() { return test::take(table->read()); }
  std::string text(const std::string& sql) {
    std::string out;
    REQUIRE(database->run_blocking([&](SQLite::Database& file) -> Result<void> {
      out = file.execAndGet(sql).getString();
      return {};
    }));
    return out;
  }
};

TEST_CASE("replications are rows of the reference's table, in its encoding") {
  Stage s;
  s.add("lib/a:v1", "b:1", 20min, false);
  const std::string image = Digest::of("image").str();
  CHECK(s.text("SELECT digest FROM replicate_tag_task") == "\"" + image + "\"");
  CHECK(s.text("SELECT dependencies FROM replicate_tag_task") ==
        "[\"" + Digest::of("layer").str() + "\",\"" + image + "\"]");
  CHECK(s.text("SELECT typeof(digest) || typeof(dependencies) FROM replicate_tag_task") == "blobblob");
  CHECK(s.text("SELECT status || ' ' || failures || ' ' || delay || ' ' || last_attempt FROM "
               "replicate_tag_task") == "pending 0 1200000000000 0001-01-01 00:00:00+00:00");
  CHECK(s.text("SELECT max(version_id) FROM goose_db_version") == "3");
  REQUIRE(test::run(s.loop, s.table->note_failure("b:1", "lib/a:v1")));
  s.open();
  const RetryTask task = s.rows().at(0);
  CHECK(task.name == "lib/a:v1");
  CHECK(task.ns == "b:1");
  CHECK(task.delay == 20min);
  CHECK(task.failures == 1);
  REQUIRE(test::run(s.loop, s.table->remove("b:1", "lib/a:v1")));
  CHECK(s.rows().empty());
}

TEST_CASE("what was added again leads where the tag does now, and comes at the sooner time") {
  Stage s;
  const Digest moved = Digest::of("moved");
  s.add("lib/a:v1", "b:1", 20min, false);
  s.add("lib/a:v1", "b:1", 0s, false, moved);
  s.add("lib/a:v1", "b:1", 40min, false, moved);
  s.add("lib/a:v1", "c:1", 1min, false);
  CHECK(s.rows().size() == 2);
  CHECK(s.text("SELECT digest FROM replicate_tag_task WHERE destination = 'b:1'") ==
        "\"" + moved.str() + "\"");
  CHECK(s.text("SELECT delay FROM replicate_tag_task WHERE destination = 'b:1'") == "0");
}

TEST_CASE("a tag of another cluster is known as one, until a client pushes it here") {
  Stage s;
  s.add("new:1", "b:1", 0s, true);
  CHECK(s.rows().at(0).forwarded);
  s.open();
  CHECK(s.rows().at(0).forwarded);
  s.add("new:1", "b:1", 0s, false);
  CHECK_FALSE(s.rows().at(0).forwarded);
  s.add("new:1", "b:1", 0s, true);
  CHECK_FALSE(s.rows().at(0).forwarded);
  REQUIRE(test::run(s.loop, s.table->remove("b:1", "new:1")));
  s.add("new:1", "b:1", 0s, true);
  CHECK(s.rows().at(0).forwarded);
}

TEST_CASE("a file that the reference has left is taken over") {
  Stage s;
  REQUIRE(s.database->run_blocking([](SQLite::Database& file) -> Result<void> {
    file.exec(
        "INSERT INTO replicate_tag_task (tag, digest, dependencies, destination, created_at, "
        "last_attempt, status, failures, delay) VALUES ('lib/a:v1', x'22', x'5b5d', 'b:1', '2026-11-27 "
        "10:00:00', '2026-11-27 10:00:30', 'failed', 7, 0)");
    return {};
  }));
  const RetryTask task = s.rows().at(0);
  CHECK(task.failures == 7);
  CHECK_FALSE(task.forwarded);
  CHECK(task.created == std::chrono::sys_days(std::chrono::year(2026) / 11 / 27) + 10h);
}

}  // namespace
}  // namespace krakend::retry
