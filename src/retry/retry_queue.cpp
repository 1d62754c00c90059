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
  take_over(std::move(*left));
  return {};
}

void RetryQueue::take_over(std::vector<RetryTask> left) {
  for (RetryTask& task : left) remember(std::move(task));
  if (!entries_.empty()) log_.info("{} tasks are left from before the start", entries_.size());
}

TimePoint RetryQueue::due_at(const RetryTask& task) const {
  const Duration waited = services_.clock.wall() - task.created;
  return services_.clock.now() + std::max(task.delay - waited, Duration::zero());
}

void RetryQueue::remember(RetryTask task) {
  const auto entry = std::make_shared<Entry>();
  // A clock that was set back must not put a task off for longer than its delay.
  task.created = std::min(task.created, services_.clock.wall());
  task.dependencies = {};
  entry->due = due_at(task);
  entry->task = std::move(task);
  entries_[Key(entry->task.name, entry->task.ns)] = entry;
  wait_until_due(entry);
}

void RetryQueue::wait_until_due(const EntryPtr& entry) {
  waiting_.emplace(entry->due, entry);
  changed_.notify_all();
}

void RetryQueue::unschedule(const EntryPtr& entry) {
  const auto [first, last] = waiting_.equal_range(entry->due);
  const auto found =
      std::find_if(first, last, [&entry](const auto& waiting) { return waiting.second == entry; });
  if (found != last) waiting_.erase(found);
}

Task<Result<bool>> RetryQueue::renew(RetryTask task) {
  const EntryPtr entry = entries_.at(Key(task.name, task.ns));
  if (entry->leaving) {
    co_await changed_.wait();
    co_return false;
  }
  ++entry->renewed;
  ++entry->renewing;
  task.created = services_.clock.wall();
  auto told = co_await services_.table.add(task);
  --entry->renewing;
  if (!told) co_return propagate(told);
  entry->task.forwarded = entry->task.forwarded && task.forwarded;
  const TimePoint due = due_at(task);
  if (!entry->running && due < entry->due) {
    unschedule(entry);
    entry->due = due;
    wait_until_due(entry);
  }
  co_return true;
}

Task<Result<void>> RetryQueue::add(RetryTask task) {
  while (options_.renews && entries_.contains(Key(task.name, task.ns))) {
    auto renewed = co_await renew(task);
    if (!renewed) co_return propagate(renewed);
    if (*renewed) co_return Result<void>{};
  }
  if (entries_.contains(Key(task.name, task.ns))) co_return Result<void>{};
  if (entries_.size() >= options_.tasks_max) {
    co_return fail(Errc::unavailable, "{} tasks wait already, which is the limit: try again later",
                   entries_.size());
  }
  task.created = services_.clock.wall();
  auto added = co_await services_.table.add(task);
  if (!added) co_return added;
  const bool meanwhile = entries_.contains(Key(task.name, task.ns));
  if (!meanwhile) remember(std::move(task));
  if (meanwhile && options_.renews) co_return co_await add(std::move(task));
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
  const unsigned renewed = entry->renewed;
  auto done = co_await execute_(entry->task);
  // Whoever adds it again must not find it done by what held before.
  if (done && (entry->renewed != renewed || entry->renewing > 0)) co_return done;
  entry->leaving = done.has_value();
  if (done) done = co_await services_.table.remove(entry->task.ns, entry->task.name);
  entry->leaving = false;
  if (done) {
    entries_.erase(Key(entry->task.name, entry->task.ns));
    if (options_.quiet && entry->task.failures > 0)
      log_.info("{} done after {} failures", entry->task.name, entry->task.failures);
    co_return done;
  }
  ++entry->task.failures;
  auto noted = co_await services_.table.note_failure(entry->task.ns, entry->task.name);
  if (!noted) log_.warn("{}: {}", entry->task.name, noted.error().message);
  co_return done;
}

Task<> RetryQueue::attempt(EntryPtr entry) {
  auto done = co_await try_once(entry);
  const auto found = entries_.find(Key(entry->task.name, entry->task.ns));
  const bool again = done && found != entries_.end() && found->second == entry;
  if (done && !again) co_return;
  const Duration pause =
      again ? Duration::zero() : options_.backoff.pause(entry->task.failures - 1, services_.random);
  if (!again) tell_of(entry->task, pause, done.error());
  entry->due = services_.clock.now() + pause;
  wait_until_due(entry);
}

void RetryQueue::tell_of(const RetryTask& task, Duration pause, const Error& error) {
  const std::string text =
      fmt::format("{} failed {} times, again in {}: {}", task.name, task.failures,
                  format_duration(std::chrono::round<std::chrono::milliseconds>(pause)), error.message);
  if (options_.quiet && task.failures > 1)
    log_.debug("{}", text);
  else
    log_.warn("{}", text);
}

Task<RetryQueue::EntryPtr> RetryQueue::take(std::string name) {
  for (;;) {
    const auto found = entries_.lower_bound(Key(name, ""));
    if (found == entries_.end() || found->first.first != name) co_return nullptr;
    const EntryPtr entry = found->second;
    if (!entry->running) {
      unschedule(entry);
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
