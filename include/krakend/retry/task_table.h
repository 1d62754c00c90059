#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

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
};

/// Where tasks survive a restart. Loop thread.
class TaskTable {
 public:
  virtual ~TaskTable() = default;
  /// Durable when it returns. A task that is there already stays as it is.
  virtual Task<Result<void>> add(RetryTask task) = 0;
  virtual Task<Result<void>> remove(std::string ns, std::string name) = 0;
  virtual Task<Result<void>> note_failure(std::string ns, std::string name) = 0;
  /// In order of creation. Blocks: at start.
  virtual Result<std::vector<RetryTask>> read() = 0;
};

/// Table `writeback_task` as the reference has it (contract backends-replication §7): its files are taken
/// over, and it takes over ours. Makes and migrates the tables. Blocks: before the loop runs.
Result<std::unique_ptr<TaskTable>> make_write_back_table(storage::Database& database);

}  // namespace krakend::retry
