#pragma once

#include <memory>
#include <vector>

#include "krakend/io/clock.h"
#include "krakend/io/loop.h"
#include "krakend/io/task.h"

namespace krakend::io {

/// A condition variable of the loop thread: wait() resumes at the next notify_all(). Waiters re-check what
/// they wait for. Must outlive its waiters.
class Condition {
 public:
  explicit Condition(Loop& loop) : loop_(loop) {}
  Condition(const Condition&) = delete;
  Condition& operator=(const Condition&) = delete;
  ~Condition();

  void notify_all();
  Task<> wait();
  /// False when `limit` passed first.
  Task<bool> wait_for(Clock& clock, Duration limit);

 private:
  struct Waiter;
  [[maybe_unused]] Loop& loop_;  ///< whose thread all this is for
  std::vector<std::shared_ptr<Waiter>> waiters_;
};

}  // namespace krakend::io
