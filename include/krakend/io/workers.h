#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <list>
#include <mutex>
#include <thread>
#include <vector>

namespace krakend::io {

/// A few threads for work that blocks or computes. Threads start when there is more work than idle threads,
/// so a quiet process has none. Work goes to the thread that was busy last, whose buffers are still in the
/// caches. Any thread may submit.
class Workers {
 public:
  explicit Workers(unsigned max_threads) : max_threads_(max_threads) {}
  /// Runs what is queued, then joins.
  ~Workers();
  void submit(std::function<void()> job);
  /// Threads that wait for work. Any thread may ask.
  unsigned idle() const;

 private:
  struct Worker {
    std::condition_variable wake;
    std::function<void()> job;  ///< given to it while it is idle
    std::thread thread;
  };

  bool start(std::function<void()>& job);
  void work(Worker& self);
  bool next(Worker& self, std::unique_lock<std::mutex>& lock);

  const unsigned max_threads_;
  mutable std::mutex mutex_;
  std::deque<std::function<void()>> jobs_;  ///< there are some only while nobody is idle
  std::list<Worker> workers_;
  std::vector<Worker*> idle_;  ///< who became idle last is the last
  bool stopping_ = false;
};

}  // namespace krakend::io
