#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace krakend::io {

/// A few threads for work that blocks or computes. Threads start when there is more work than idle threads,
/// so a quiet process has none. Any thread may submit.
class Workers {
 public:
  explicit Workers(unsigned max_threads) : max_threads_(max_threads) {}
  /// Runs what is queued, then joins.
  ~Workers();
  void submit(std::function<void()> job);
  /// Threads that wait for work. Any thread may ask.
  unsigned idle() const;

 private:
  void work();

  const unsigned max_threads_;
  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> jobs_;
  std::vector<std::thread> threads_;
  unsigned idle_ = 0;
  bool stopping_ = false;
};

}  // namespace krakend::io
