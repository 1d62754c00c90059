#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "krakend/core/digest.h"
#include "krakend/core/result.h"
#include "krakend/core/time.h"
#include "krakend/io/task.h"
#include "krakend/storage/database.h"

namespace krakend::retry {

/// Something to be done until it succeeds; (ns, name) names it.
struct RetryTask {
  std::string ns;
  std::string name;
  /// Not before so long after its creation.
  Duration delay{0};
  std::chrono::system_clock::time_point created{};
  unsigned failures = 0;

  // Of the replication of a tag alone; ns is the destination then, name the tag.
  bool forwarded = false;  ///< the tag came from another cluster
  /// Where the tag led when the task was added, and the blobs that go with it. The table keeps both for a
  /// reference build-index that takes the file over; who executes the task asks for what holds then, so these
  /// are not read.
  Digest digest{};
  std::vector<Digest> dependencies{};
};

/// Where tasks survive a restart. Loop thread.
class TaskTable {
 public:
  virtual ~TaskTable() = default;
  /// Durable when it returns. What becomes of a task that is there already says the table.
  virtual Task<Result<void>> add(RetryTask task) = 0;
  virtual Task<Result<void>> remove(std::string ns, std::string name) = 0;
  virtual Task<Result<void>> note_failure(std::string ns, std::string name) = 0;
  /// In order of creation. Blocks: at start.
  virtual Result<std::vector<RetryTask>> read() = 0;
};

/// Table `writeback_task` as the reference has it (contract backends-replication §7): its files are taken
/// over, and it takes over ours. A task that is there already stays as it is. Makes and migrates the tables.
/// Blocks: before the loop runs.
Result<std::unique_ptr<TaskTable>> make_write_back_table(storage::Database& database);

/// Table `replicate_tag_task` of the same file, by the same rules. A task that is there already leads where
/// the new one does, and the sooner of both delays holds; it is forwarded only if both are. What the
/// reference's table has no column for lies in a table beside it.
Result<std::unique_ptr<TaskTable>> make_tag_replication_table(storage::Database& database);

}  // namespace krakend::retry
