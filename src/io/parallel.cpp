#include "krakend/io/parallel.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "krakend/io/condition.h"

namespace krakend::io {
namespace {

struct Batch {
  Batch(Loop& loop, size_t n, std::function<Task<>(size_t)> fn)
      : count(n), work(std::move(fn)), ended(loop) {}
  const size_t count;
  const std::function<Task<>(size_t)> work;
  size_t next = 0;
  size_t done = 0;
  size_t workers = 0;
  Condition ended;
};

/// Lives in a worker's frame; its end is seen even when the group drops the worker unstarted.
class Worker {
 public:
  explicit Worker(std::shared_ptr<Batch> batch) : batch_(std::move(batch)) { ++batch_->workers; }
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  ~Worker() {
    --batch_->workers;
    batch_->ended.notify_all();
  }
  Batch& batch() { return *batch_; }

 private:
  std::shared_ptr<Batch> batch_;
};

Task<> run(std::shared_ptr<Worker> worker) {
  Batch& batch = worker->batch();
  while (batch.next < batch.count) {
    co_await batch.work(batch.next++);
    ++batch.done;
  }
}

}  // namespace

Task<bool> run_parallel(Loop& loop, TaskGroup& group, size_t count, size_t limit,
                        std::function<Task<>(size_t)> work) {
  auto batch = std::make_shared<Batch>(loop, count, std::move(work));
  const size_t workers = std::min(count, std::max<size_t>(limit, 1));
  for (size_t i = 0; i < workers; ++i) group.spawn(run(std::make_shared<Worker>(batch)), "parallel");
  while (batch->workers > 0) co_await batch->ended.wait();
  co_return batch->done == count;
}

}  // namespace krakend::io
