#include "krakend/io/workers.h"

#include <cstdio>
#include <cstdlib>
#include <system_error>

namespace krakend::io {

Workers::~Workers() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (auto* worker : idle_) worker->wake.notify_one();
  }
  for (auto& worker : workers_) worker.thread.join();
}

void Workers::submit(std::function<void()> job) {
  std::unique_lock lock(mutex_);
  if (!idle_.empty()) {
    auto* worker = idle_.back();
    idle_.pop_back();
    worker->job = std::move(job);
    // Woken under the lock it would only wait for the lock.
    lock.unlock();
    worker->wake.notify_one();
    return;
  }
  if (workers_.size() < max_threads_ && start(job)) return;
  jobs_.push_back(std::move(job));
}

/// A thread more, with its first job. False: the system has none left, so fewer threads do the same work.
bool Workers::start(std::function<void()>& job) {
  auto& worker = workers_.emplace_back();
  worker.job = std::move(job);
  try {
    worker.thread = std::thread([this, &worker] { work(worker); });
    return true;
  } catch (const std::system_error& error) {
    job = std::move(worker.job);
    workers_.pop_back();
    if (!workers_.empty()) return false;
    // With none at all nothing would ever go on.
    std::fprintf(stderr, "krakend: cannot start a thread: %s\n", error.what());
    std::abort();
  }
}

unsigned Workers::idle() const {
  const std::lock_guard lock(mutex_);
  return static_cast<unsigned>(idle_.size());
}

/// Waits until the worker has a job. False: the pool stops and nothing is left to do.
bool Workers::next(Worker& self, std::unique_lock<std::mutex>& lock) {
  if (self.job) return true;
  if (!jobs_.empty()) {
    self.job = std::move(jobs_.front());
    jobs_.pop_front();
    return true;
  }
  if (stopping_) return false;
  idle_.push_back(&self);
  self.wake.wait(lock, [&] { return stopping_ || self.job; });
  return static_cast<bool>(self.job);
}

void Workers::work(Worker& self) {
  std::unique_lock lock(mutex_);
  while (next(self, lock)) {
    auto job = std::move(self.job);
    self.job = nullptr;
    lock.unlock();
    job();
    job = nullptr;  // what it holds is released before the next wait, and outside the lock
    lock.lock();
  }
}

}  // namespace krakend::io
