#pragma once

#include <cstddef>
#include <functional>

#include "krakend/io/loop.h"
#include "krakend/io/task_group.h"

namespace krakend::io {

/// Runs `work(0)` … `work(count - 1)` as tasks of `group`, at most `limit` at a time, and returns when all
/// have ended; the group may see the last of them end a little later. When the caller is cancelled the tasks
/// go on, so `work` owns what it uses or the group's owner does. False when the group stopped before all was
/// done.
Task<bool> run_parallel(Loop& loop, TaskGroup& group, size_t count, size_t limit,
                        std::function<Task<>(size_t)> work);

}  // namespace krakend::io
