#include "krakend/storage/database.h"

#include <SQLiteCpp/SQLiteCpp.h>

#include "krakend/io/system.h"
#include "support/catch.h"
#include "support/run.h"
#include "support/temp_dir.h"

namespace krakend::storage {
namespace {

struct Stage {
  test::TempDir dir;
  io::Loop loop;
  std::unique_ptr<io::Disk> disk = io::make_posix_disk();
  std::unique_ptr<Database> database = open();

  ~Stage() { close(); }
  std::string path() const { return dir / "a.db"; }
  std::unique_ptr<Database> open() {
    auto opened = Database::open(loop, *disk, path(), Logger());
    REQUIRE(opened);
    return std::move(*opened);
  }
  void close() {
    if (database) test::run(loop, database->stop());
    database.reset();
  }
  Result<void> run(Database::Job job) { return test::run(loop, database->run(std::move(job))); }
  Result<void> exec(const std::string& sql) {
    return run([sql](SQLite::Database& file) -> Result<void> {
      file.exec(sql);
      return {};
    });
  }
  int count() {
    int rows = -1;
    auto counted = run([&rows](SQLite::Database& file) -> Result<void> {
      rows = file.execAndGet("SELECT count(*) FROM t").getInt();
      return {};
    });
    return counted ? rows : -1;
  }
};

TEST_CASE("what a job did is there after reopening, what a failed one did is not") {
  Stage s;
  REQUIRE(s.exec("CREATE TABLE t (a INTEGER PRIMARY KEY)"));
  REQUIRE(s.exec("INSERT INTO t VALUES (1)"));
  const auto failed = s.run([](SQLite::Database& file) -> Result<void> {
    file.exec("INSERT INTO t VALUES (2)");
    return fail(Errc::conflict, "no");
  });
  CHECK(failed.error().code == Errc::conflict);
  const auto thrown = s.exec("INSERT INTO t VALUES (1)");
  CHECK(thrown.error().code == Errc::io);
  s.close();
  s.database = s.open();
  CHECK_FALSE(s.database->begun_anew());
  CHECK(s.count() == 1);
}

TEST_CASE("jobs that come together share a transaction and do not harm each other") {
  Stage s;
  REQUIRE(s.exec("CREATE TABLE t (a INTEGER PRIMARY KEY)"));
  io::TaskGroup tasks(s.loop);
  unsigned good = 0;
  unsigned bad = 0;
  struct One {
    static Task<> insert(Database& database, int value, unsigned& good, unsigned& bad) {
      Database::Job job = [value](SQLite::Database& file) -> Result<void> {
        file.exec(fmt::format("INSERT INTO t VALUES ({})", value));
        return {};
      };
      auto done = co_await database.run(std::move(job));
      ++(done ? good : bad);
    }
  };
  for (int i = 0; i < 100; ++i) tasks.spawn(One::insert(*s.database, i / 2, good, bad), "insert");
  while (tasks.size() > 0) s.loop.poll();
  CHECK(good == 50);
  CHECK(bad == 50);
  CHECK(s.count() == 50);
}

TEST_CASE("a damaged file is kept aside and begun anew") {
  Stage s;
  REQUIRE(s.exec("CREATE TABLE t (a INTEGER PRIMARY KEY)"));
  s.close();
  REQUIRE(io::write_file(*s.disk, s.path(), std::string(5000, 'x')));
  s.database = s.open();
  CHECK(s.database->begun_anew());
  CHECK(s.exec("CREATE TABLE t (a INTEGER PRIMARY KEY)"));
  CHECK(s.disk->stat(s.path() + ".damaged"));
}

TEST_CASE("a file that cannot be opened is an error that names it") {
  Stage s;
  REQUIRE(s.disk->make_dirs(s.dir / "folder"));
  const auto opened = Database::open(s.loop, *s.disk, s.dir / "folder", Logger());
  REQUIRE_FALSE(opened);
  CHECK(opened.error().message.find(s.dir / "folder") != std::string::npos);
}

}  // namespace
}  // namespace krakend::storage
