#include "krakend/io/workers.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <system_error>

namespace krakend::io {

Workers::~Workers() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void Workers::submit(std::function<void()> job) {
  const std::lock_guard lock(mutex_);
  jobs_.push_back(std::move(job));
  if (jobs_.size() > idle_ && threads_.size() < max_threads_) {
    try {
      threads_.emplace_back([this] { work(); });
      return;
    } catch (const std::system_error& error) {
      // A thread limit of the system: fewer threads do the same work. With none at all nothing would ever go
      // on.
      if (threads_.empty()) {
        std::fprintf(stderr, "krakend: cannot start a thread: %s\n", error.what());
        std::abort();
      }
    }
  }
  wake_.notify_one();
}

void Workers::run_both(const std::function<void()>& here, const std::function<void()>& beside) {
  enum : int { waiting, taken, ended };
  // Shared: a job that comes too late finds it taken when this call is long over.
  const auto state = std::make_shared<std::atomic<int>>(waiting);
  const auto take = [](std::atomic<int>& of) {
    int expected = waiting;
    return of.compare_exchange_strong(expected, taken);
  };
  submit([state, take, job = &beside] {
    if (!take(*state)) return;
    (*job)();
    *state = ended;
    state->notify_one();
  });
  here();
  if (take(*state))
    beside();
  else
    state->wait(taken);
}

void Workers::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    ++idle_;
    wake_.wait(lock, [this] { return stopping_ || !jobs_.empty(); });
    --idle_;
    if (jobs_.empty()) return;
    auto job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job();
    job = nullptr;  // what it holds is released before the next wait, and outside the lock
    lock.lock();
  }
}

}  // namespace krakend::io
