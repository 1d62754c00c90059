#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "krakend/core/log.h"
#include "krakend/io/backoff.h"
#include "krakend/io/clock.h"
#include "krakend/io/condition.h"
#include "krakend/io/loop.h"
#include "krakend/io/random.h"
#include "krakend/io/task_group.h"
#include "krakend/retry/task_table.h"

namespace krakend::retry {

struct RetryQueueOptions {
  /// Tasks that are not done, some 300 bytes each; one more is refused: unavailable.
  size_t tasks_max = 50'000;
  /// Tasks that run at once.
  size_t parallel = 6;
  /// Between the attempts of a task.
  io::Backoff backoff{1s, 2, 30s};
  /// For work that depends on how things are when it begins: what is added again while it runs is run once
  /// more, what waits is due at the sooner of both times, and the table is told each time. Otherwise what is
  /// there already stays as it is.
  bool renews = false;
  /// Of a task that goes on failing only the first failure is a warning.
  bool quiet = false;
};

/// Runs tasks until they succeed, over restarts. The same task twice is one. Nothing is ever dropped: a full
/// queue refuses. Loop thread.
class RetryQueue {
 public:
  struct Services {
    io::Loop& loop;
    io::Clock& clock;
    io::Random& random;
    TaskTable& table;
  };
  /// Does the work; done when it succeeds. Must bear to be called again for what is done already.
  using Execute = std::function<Task<Result<void>>(RetryTask)>;
  RetryQueue(Services services, RetryQueueOptions options, Execute execute, Logger log);

  /// Reads what an earlier run left. Blocks: before the first add().
  Result<void> load();
  /// The same of tasks that somebody has read from the table.
  void take_over(std::vector<RetryTask> left);
  /// Durable when it returns. unavailable: the queue is full.
  Task<Result<void>> add(RetryTask task);
  /// Whether there is a task of that name, in any namespace.
  bool has(const std::string& name) const;
  /// Runs all tasks of that name now, whatever their delay; the first failure.
  Task<Result<void>> run_now(std::string name);
  /// Removes all tasks of that name, those that run after their end.
  Task<Result<void>> forget(std::string name);
  /// Runs tasks until it is cancelled.
  Task<> run();

  struct Status {
    size_t tasks = 0;
    size_t running = 0;
    size_t failing = 0;  ///< tried before, without success
    /// Age of the oldest task, its delay not counted: how far behind the queue is.
    Duration lag{0};
  };
  Status status() const;

  /// Ends what is running; awaited before destruction.
  Task<> stop() { return tasks_.stop(); }

 private:
  using Key = std::pair<std::string, std::string>;  ///< name, namespace
  struct Entry {
    RetryTask task;
    /// By the steady clock: setting the other one neither hurries a task nor puts it off.
    TimePoint due;
    bool running = false;
    bool leaving = false;  ///< done; its row is being removed
    /// Times it was added again, and such calls that have not returned.
    unsigned renewed = 0;
    unsigned renewing = 0;
  };
  using EntryPtr = std::shared_ptr<Entry>;

  TimePoint due_at(const RetryTask& task) const;
  void remember(RetryTask task);
  /// Of what is there already; false when it is on its way out.
  Task<Result<bool>> renew(RetryTask task);
  void wait_until_due(const EntryPtr& entry);
  void unschedule(const EntryPtr& entry);
  /// A task of that name that is not running, taken out of waiting_; null when there is none of that name.
  Task<EntryPtr> take(std::string name);
  void begin(Entry& entry);
  /// The entry has begun.
  Task<> attempt(EntryPtr entry);
  Task<Result<void>> try_once(EntryPtr entry);
  void tell_of(const RetryTask& task, Duration pause, const Error& error);
  /// Starts what is due; how long until the next one is.
  Duration start_due();

  Services services_;
  const RetryQueueOptions options_;
  const Execute execute_;
  Logger log_;
  std::map<Key, EntryPtr> entries_;
  std::multimap<TimePoint, EntryPtr> waiting_;  ///< by due
  size_t running_ = 0;
  io::Condition changed_;
  io::TaskGroup tasks_;
};

}  // namespace krakend::retry
