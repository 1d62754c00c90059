#include "krakend/storage/database.h"

#include <SQLiteCpp/SQLiteCpp.h>
#include <sqlite3.h>

#include <utility>

namespace krakend::storage {
namespace {

Error sqlite_error(const SQLite::Exception& error) {
  const int code = error.getErrorCode();
  const bool damaged = code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
  const Errc kind = code == SQLITE_FULL ? Errc::no_space : damaged ? Errc::corrupt : Errc::io;
  return {kind, fmt::format("database: {}", error.what())};
}

template <class F>
Result<void> guarded(F fn) {
  try {
    return fn();
  } catch (const SQLite::Exception& error) {
    return fail(sqlite_error(error));
  }
}

Result<std::unique_ptr<SQLite::Database>> open_file(const std::string& path) {
  std::unique_ptr<SQLite::Database> file;
  auto opened = guarded([&]() -> Result<void> {
    file = std::make_unique<SQLite::Database>(path, SQLite::OPEN_READWRITE | SQLite::OPEN_CREATE);
    file->exec("PRAGMA journal_mode=WAL");
    file->exec("PRAGMA synchronous=FULL");
    const std::string check = file->execAndGet("PRAGMA quick_check(1)").getString();
    if (check != "ok") return fail(Errc::corrupt, "database: {}", check);
    // A few short rows at a time: the usual 2 MB of pages would be for nothing.
    file->exec("PRAGMA cache_size=-128");
    file->exec("PRAGMA shrink_memory");
    return {};
  });
  if (!opened) return propagate(opened);
  return file;
}

/// The file and what belongs to it.
Result<void> move_aside(io::Disk& disk, const std::string& path) {
  for (const char* suffix : {"", "-wal", "-shm"}) {
    auto moved = disk.rename(path + suffix, path + ".damaged" + suffix);
    if (!moved && moved.error().code != Errc::not_found) return moved;
  }
  return disk.sync_dir(io::parent_path(path));
}

}  // namespace

struct Database::Waiting {
  Waiting(io::Loop& loop, Job wanted) : job(std::move(wanted)), ended(loop) {}
  Job job;
  io::Condition ended;
  bool done = false;
  Result<void> outcome = fail(Errc::cancelled, "the database was closed");
};

Database::Database(io::Loop& loop, std::unique_ptr<SQLite::Database> file, Logger log)
    : loop_(loop), file_(std::move(file)), log_(std::move(log)), idle_(loop), tasks_(loop, log_) {}
Database::~Database() = default;

Result<std::unique_ptr<Database>> Database::open(io::Loop& loop, io::Disk& disk, const std::string& path,
                                                 Logger log) {
  if (auto made = io::make_dirs_durably(disk, io::parent_path(path)); !made) return propagate(made);
  auto file = open_file(path);
  const bool damaged = !file && file.error().code == Errc::corrupt;
  if (damaged) {
    log.error("{} is damaged ({}): it is kept as {}.damaged, and a new one is begun", path,
              file.error().message, path);
    if (auto moved = move_aside(disk, path); !moved) return propagate(moved);
    file = open_file(path);
  }
  if (!file) {
    return fail(file.error().code, "{}: {}; fix its owner and mode, or name another file", path,
                file.error().message);
  }
  std::unique_ptr<Database> database(new Database(loop, std::move(*file), std::move(log)));
  database->begun_anew_ = damaged;
  return database;
}

Result<void> Database::run_blocking(const Job& job) {
  return guarded([&] { return job(*file_); });
}

Task<Result<void>> Database::run(Job job) {
  const auto waiting = std::make_shared<Waiting>(loop_, std::move(job));
  queue_.push_back(waiting);
  if (!std::exchange(flushing_, true)) tasks_.spawn(flush(), "database");
  while (!waiting->done) co_await waiting->ended.wait();
  co_return waiting->outcome;
}

Task<> Database::flush() {
  while (!queue_.empty()) {
    const std::vector<WaitingPtr> jobs = std::exchange(queue_, {});
    co_await loop_.offload([&] { run_all(jobs); });
    for (const WaitingPtr& waiting : jobs) {
      waiting->done = true;
      waiting->ended.notify_all();
    }
  }
  flushing_ = false;
  idle_.notify_all();
}

void Database::run_all(const std::vector<WaitingPtr>& jobs) {
  auto committed = guarded([&]() -> Result<void> {
    file_->exec("BEGIN IMMEDIATE");
    for (const WaitingPtr& waiting : jobs) {
      file_->exec("SAVEPOINT job");
      waiting->outcome = guarded([&] { return waiting->job(*file_); });
      if (!waiting->outcome) file_->exec("ROLLBACK TO job");
      file_->exec("RELEASE job");
    }
    file_->exec("COMMIT");
    return {};
  });
  if (committed) return;
  (void)file_->tryExec("ROLLBACK");
  log_.error("{}", committed.error().message);
  for (const WaitingPtr& waiting : jobs) waiting->outcome = committed;
}

Task<> Database::stop() {
  // Jobs are short and the pool runs them to their end: nobody is cut off.
  while (flushing_) co_await idle_.wait();
  co_await tasks_.stop();
}

}  // namespace krakend::storage
