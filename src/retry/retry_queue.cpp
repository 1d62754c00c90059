#include "krakend/retry/retry_queue.h"

#include <algorithm>
#include <vector>

#include "krakend/core/units.h"

namespace krakend::retry {

RetryQueue::RetryQueue(Services services, RetryQueueOptions options, Execute execute, Logger log)
    : services_(services),
      options_(options),
      execute_(std::move(execute)),
      log_(std::move(log)),
      changed_(services.loop),
      tasks_(services.loop, log_) {}

Result<void> RetryQueue::load() {
  auto left = services_.table.read();
  if (!left) return propagate(left);
  for (RetryTask& task : *left) remember(std::move(task));
  if (!entries_.empty()) log_.info("{} tasks are left from before the start", entries_.size());
  return {};
}

void RetryQueue::remember(RetryTask task) {
  const auto entry = std::make_shared<Entry>();
  // A clock that was set back must not put a task off for longer than its delay.
  const auto wall = services_.clock.wall();
  task.created = std::min(task.created, wall);
  const Duration waited = wall - task.created;
  entry->due = services_.clock.now() + std::max(task.delay - waited, Duration::zero());
  entry->task = std::move(task);
  entries_[Key(entry->task.name, entry->task.ns)] = entry;
  waiting_.emplace(entry->due, entry);
  changed_.notify_all();
}

Task<Result<void>> RetryQueue::add(RetryTask task) {
  if (entries_.contains(Key(task.name, task.ns))) co_return Result<void>{};
  if (entries_.size() >= options_.tasks_max) {
    co_return fail(Errc::unavailable, "{} tasks wait already, which is the limit: try again later",
                   entries_.size());
  }
  task.created = services_.clock.wall();
  auto added = co_await services_.table.add(task);
  if (!added) co_return added;
  if (!entries_.contains(Key(task.name, task.ns))) remember(std::move(task));
  co_return Result<void>{};
}

bool RetryQueue::has(const std::string& name) const {
  const auto found = entries_.lower_bound(Key(name, ""));
  return found != entries_.end() && found->first.first == name;
}

void RetryQueue::begin(Entry& entry) {
  entry.running = true;
  ++running_;
}

Task<Result<void>> RetryQueue::try_once(EntryPtr entry) {
  struct Ended {
    RetryQueue& queue;
    Entry& of;
    ~Ended() {
      of.running = false;
      --queue.running_;
      queue.changed_.notify_all();
    }
  } const ended{*this, *entry};
  auto done = co_await execute_(entry->task);
  if (done) done = co_await services_.table.remove(entry->task.ns, entry->task.name);
  if (done) {
    entries_.erase(Key(entry->task.name, entry->task.ns));
    co_return done;
  }
  ++entry->task.failures;
  auto noted = co_await services_.table.note_failure(entry->task.ns, entry->task.name);
  if (!noted) log_.warn("{}: {}", entry->task.name, noted.error().message);
  co_return done;
}

Task<> RetryQueue::attempt(EntryPtr entry) {
  auto done = co_await try_once(entry);
  if (done) co_return;
  const Duration pause = options_.backoff.pause(entry->task.failures - 1, services_.random);
  log_.warn("{} failed {} times, again in {}: {}", entry->task.name, entry->task.failures,
            format_duration(std::chrono::round<std::chrono::milliseconds>(pause)), done.error().message);
  entry->due = services_.clock.now() + pause;
  waiting_.emplace(entry->due, entry);
  changed_.notify_all();
}

Task<RetryQueue::EntryPtr> RetryQueue::take(std::string name) {
  for (;;) {
    const auto found = entries_.lower_bound(Key(name, ""));
    if (found == entries_.end() || found->first.first != name) co_return nullptr;
    const EntryPtr entry = found->second;
    if (!entry->running) {
      std::erase_if(waiting_, [&entry](const auto& waiting) { return waiting.second == entry; });
      co_return entry;
    }
    co_await changed_.wait();
  }
}

Task<Result<void>> RetryQueue::run_now(std::string name) {
  for (;;) {
    const EntryPtr entry = co_await take(name);
    if (!entry) co_return Result<void>{};
    begin(*entry);
    auto done = co_await try_once(entry);
    if (done) continue;
    waiting_.emplace(entry->due, entry);
    co_return done;
  }
}

Task<Result<void>> RetryQueue::forget(std::string name) {
  for (;;) {
    const EntryPtr entry = co_await take(name);
    if (!entry) co_return Result<void>{};
    auto removed = co_await services_.table.remove(entry->task.ns, entry->task.name);
    if (!removed) {
      waiting_.emplace(entry->due, entry);
      co_return removed;
    }
    entries_.erase(Key(entry->task.name, entry->task.ns));
    changed_.notify_all();
  }
}

Duration RetryQueue::start_due() {
  const TimePoint now = services_.clock.now();
  while (!waiting_.empty() && running_ < options_.parallel) {
    const auto first = waiting_.begin();
    if (first->first > now) return first->first - now;
    const EntryPtr entry = first->second;
    waiting_.erase(first);
    begin(*entry);
    tasks_.spawn(attempt(entry), "task " + entry->task.name);
  }
  return 1h;
}

Task<> RetryQueue::run() {
  for (;;) {
    const Duration pause = std::min<Duration>(start_due(), 10s);
    co_await changed_.wait_for(services_.clock, pause);
  }
}

RetryQueue::Status RetryQueue::status() const {
  Status status;
  status.tasks = entries_.size();
  status.running = running_;
  const auto now = services_.clock.wall();
  for (const auto& [key, entry] : entries_) {
    if (entry->task.failures > 0) ++status.failing;
    status.lag = std::max<Duration>(status.lag, now - entry->task.created - entry->task.delay);
  }
  return status;
}

}  // namespace krakend::retry
