#include "krakend/io/workers.h"

#include <cstdio>
#include <cstdlib>
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

unsigned Workers::idle() const {
  const std::lock_guard lock(mutex_);
  return idle_;
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
