#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "krakend/core/log.h"
#include "krakend/core/result.h"
#include "krakend/io/condition.h"
#include "krakend/io/disk.h"
#include "krakend/io/loop.h"
#include "krakend/io/task_group.h"

namespace SQLite {
class Database;
}

namespace krakend::storage {

/// One SQLite file (WAL, synchronous=FULL) for what has to survive besides blobs. Jobs that wait at the same
/// time share a transaction, and so its syncs. Loop thread.
class Database {
 public:
  /// Runs on the pool. Exceptions of SQLite are caught around it.
  using Job = std::function<Result<void>(SQLite::Database&)>;

  /// Opens or creates the file and its directory. One that is no database, or a damaged one, is moved aside
  /// to
  /// "<path>.damaged", said in the log, and begun anew. Blocks: before the loop runs.
  static Result<std::unique_ptr<Database>> open(io::Loop& loop, io::Disk& disk, const std::string& path,
                                                Logger log);
  ~Database();

  /// The file had to be begun anew: what it held is lost.
  bool begun_anew() const { return begun_anew_; }
  /// Success when what the job did is durable. A job that fails takes back what it did, and nothing else.
  Task<Result<void>> run(Job job);
  /// Runs a job at once on this thread: before the loop runs.
  Result<void> run_blocking(const Job& job);
  /// Lets what is waiting end; awaited before destruction.
  Task<> stop();

 private:
  struct Waiting;
  using WaitingPtr = std::shared_ptr<Waiting>;
  Database(io::Loop& loop, std::unique_ptr<SQLite::Database> file, Logger log);
  Task<> flush();
  /// Pool.
  void run_all(const std::vector<WaitingPtr>& jobs);

  io::Loop& loop_;
  std::unique_ptr<SQLite::Database> file_;
  Logger log_;
  bool begun_anew_ = false;
  std::vector<WaitingPtr> queue_;
  bool flushing_ = false;
  io::Condition idle_;
  io::TaskGroup tasks_;
};

}  // namespace krakend::storage
