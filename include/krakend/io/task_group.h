#pragma once

#include <memory>
#include <string>

#include "krakend/core/log.h"
#include "krakend/io/loop.h"
#include "krakend/io/task.h"

namespace krakend::io {

/// The background activities of one service. The service's owner awaits stop() before it destroys the
/// service, so no task outlives what it uses. Loop thread.
class TaskGroup {
 public:
  explicit TaskGroup(Loop& loop, Logger log = {});
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;
  /// Aborts when tasks still run: that is a programming error.
  ~TaskGroup();

  /// Starts `task` soon. After stop() the task is dropped unstarted. An exception that leaves the task is
  /// logged with `name`; a cancellation is not.
  void spawn(Task<> task, std::string name);
  /// The same for a task without which the process is of no use: an exception is a Loop::fail() too.
  void spawn_essential(Task<> task, std::string name);
  /// Cancels all tasks and waits until they have ended. May be called more than once.
  Task<> stop();
  size_t size() const;
  bool stopping() const;

 private:
  void spawn(Task<> task, std::string name, bool essential);

  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace krakend::io
