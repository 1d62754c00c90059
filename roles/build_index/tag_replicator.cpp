#include "roles/build_index/tag_replicator.h"

#include <re2/re2.h>

#include <algorithm>
#include <utility>

#include "krakend/io/condition.h"
#include "krakend/io/net.h"

namespace krakend::build_index {
namespace {

/// Upper ends of the buckets, seconds: the reference has timers, which have none.
const std::vector<double> copy_bounds{0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600};

}  // namespace

/// One other cluster.
class TagReplicator::Remote {
 public:
  Remote(TagReplicator& owner, std::string address)
      : services_(owner.services_),
        counts_(owner.counts_),
        backoff_(owner.options_.backoff),
        address_(std::move(address)),
        log_(owner.log_),
        client_(services_.client, services_.clock, services_.random, {address_}),
        answered_(services_.loop),
        queue_(
            {services_.loop, services_.clock, services_.random, *services_.table}, owner.options_,
            [this](retry::RetryTask task) { return execute(std::move(task)); }, log_) {}

  const std::string& address() const { return address_; }
  retry::RetryQueue& queue() { return queue_; }
  bool away() const { return failures_ > 0; }

  Result<void> add_pattern(const std::string& pattern) {
    auto compiled = std::make_unique<RE2>(pattern, RE2::Quiet);
    if (!compiled->ok())
      return fail(Errc::invalid_argument, "remotes: {}: regular expression \"{}\": {}", address_, pattern,
                  compiled->error());
    patterns_.push_back(std::move(compiled));
    return {};
  }
  bool wants(const std::string& tag) const {
    return std::any_of(patterns_.begin(), patterns_.end(),
                       [&tag](const auto& pattern) { return RE2::PartialMatch(tag, *pattern); });
  }

 private:
  Task<Result<void>> execute(retry::RetryTask task);
  Task<Result<void>> copy(retry::RetryTask task);
  Task<Result<void>> copy_content(std::string tag, Digest digest);
  /// Whether the remote has the tag; waits until the remote answers at all.
  Task<bool> has(std::string tag);
  Task<Result<bool>> ask(std::string tag);
  void note(const Error* failure);

  Services services_;
  const Counts& counts_;
  const io::Backoff backoff_;
  const std::string address_;
  Logger log_;
  std::vector<std::unique_ptr<RE2>> patterns_;
  api::TagClient client_;
  unsigned failures_ = 0;  ///< since it answered last
  bool asking_ = false;    ///< somebody looks whether it is back
  io::Condition answered_;
  retry::RetryQueue queue_;
};

Task<Result<void>> TagReplicator::Remote::execute(retry::RetryTask task) {
  auto done = co_await copy(std::move(task));
  if (!done) counts_.failures.add();
  if (!done) co_return fail(done.error().code, "to {}: {}", address_, done.error().message);
  co_return done;
}

/// The tag is read after the remote has answered: that may have taken days.
Task<Result<void>> TagReplicator::Remote::copy(retry::RetryTask task) {
  const std::string tag = task.name;
  const bool there = co_await has(tag);
  if (there && task.forwarded) co_return Result<void>{};
  auto digest = co_await services_.tags.get(tag);
  if (!digest && digest.error().code == Errc::not_found) {
    log_.info("tag {} is gone: nothing to copy to {}", tag, address_);
    co_return Result<void>{};
  }
  if (!digest) co_return propagate(digest);
  if (there) {
    auto same = co_await client_.get(tag);
    if (same && *same == *digest) co_return Result<void>{};
  }
  const TimePoint began = services_.clock.now();
  auto copied = co_await copy_content(tag, *digest);
  if (!copied) co_return copied;
  auto put = co_await client_.put_forwarded(tag, *digest, task.forwarded);
  if (!put && put.error().code != Errc::already_exists) co_return put;
  counts_.copied.add();
  counts_.seconds.observe(to_seconds(services_.clock.now() - began));
  counts_.lifetime.observe(to_seconds(services_.clock.wall() - task.created));
  log_.info("tag {} copied to {}: {}", tag, address_, digest->str());
  co_return Result<void>{};
}

Task<Result<void>> TagReplicator::Remote::copy_content(std::string tag, Digest digest) {
  auto closure = co_await services_.resolver.close(tag, digest);
  if (!closure) co_return propagate(closure);
  auto origin = co_await client_.origin();
  if (!origin) co_return propagate(origin);
  for (const Digest& blob : closure->blobs) {
    auto sent = co_await services_.origins.replicate(tag, blob, *origin);
    if (!sent) co_return fail(sent.error().code, "blob {}: {}", blob.str(), sent.error().message);
  }
  for (const auto& alias : closure->aliases) {
    auto put = co_await client_.put_forwarded(alias.first, alias.second, true);
    if (!put && put.error().code != Errc::already_exists) co_return put;
  }
  co_return Result<void>{};
}

Task<bool> TagReplicator::Remote::has(std::string tag) {
  for (;;) {
    while (asking_) co_await answered_.wait();
    auto there = co_await ask(tag);
    // Any other error: the copy tells (contract backends-replication §12).
    if (there || !api::is_away(there.error())) co_return there.value_or(false);
  }
}

Task<Result<bool>> TagReplicator::Remote::ask(std::string tag) {
  struct Turn {
    Remote& remote;
    ~Turn() {
      remote.asking_ = false;
      remote.answered_.notify_all();
    }
  };
  std::optional<Turn> turn;
  if (away()) {
    asking_ = true;
    turn.emplace(*this);
    co_await services_.clock.sleep(backoff_.pause(failures_ - 1, services_.random));
  }
  auto there = co_await client_.has(std::move(tag));
  const bool failed = !there && api::is_away(there.error());
  note(failed ? &there.error() : nullptr);
  co_return there;
}

void TagReplicator::Remote::note(const Error* failure) {
  if (failure != nullptr) {
    counts_.failures.add();
    if (failures_++ == 0)
      log_.warn("remote {} is away, {} tags wait for it: {}", address_, queue_.status().tasks,
                failure->message);
    return;
  }
  if (failures_ > 0) log_.info("remote {} is back, {} tags wait for it", address_, queue_.status().tasks);
  failures_ = 0;
}

TagReplicator::TagReplicator(Services services, retry::RetryQueueOptions options, Logger log)
    : services_(services), options_(options), log_(log.module("replication")) {
  count(services_.metrics);
}
TagReplicator::~TagReplicator() = default;

void TagReplicator::count(const Metrics& metrics) {
  counts_.added = metrics.counter(
      {"tag_replication_added_total", "Tags that are to be copied, once for each remote", "tasks.added"});
  counts_.refused = metrics.counter(
      {"tag_replication_refused_total",
       "Tags that were refused because too many wait for a remote: tag_replication.tasks_max"});
  counts_.copied =
      metrics.counter({"tag_replication_tags_total", "Tags that were copied to a remote with all blobs"});
  counts_.failures = metrics.counter(
      {"tag_replication_failures_total", "Attempts to copy a tag that failed", "task_failures"});
  counts_.seconds = metrics.timer(
      {"tag_replication_seconds", "Until a remote had a tag and all its blobs", "replicate"}, copy_bounds);
  counts_.lifetime = metrics.timer(
      {"tag_replication_lifetime_seconds", "From the push of a tag until a remote had it", "lifetime"},
      copy_bounds);
  const Gauge tasks =
      metrics.gauge({"tag_replication_tasks", "Tags that wait for a remote", "queue.total.size"});
  const Gauge running = metrics.gauge({"tag_replication_tasks_running", "Tags that are being copied"});
  const Gauge failing =
      metrics.gauge({"tag_replication_tasks_failing", "Tags that wait after a failed attempt"});
  const Gauge lag = metrics.gauge(
      {"tag_replication_lag_seconds", "Age of the oldest tag that waits, its delay not counted"});
  const Gauge away = metrics.gauge({"tag_replication_remotes_away", "Remotes that do not answer"});
  metrics.on_read([this, tasks, running, failing, lag, away] {
    retry::RetryQueue::Status all;
    size_t missing = 0;
    for (const auto& remote : remotes_) {
      const retry::RetryQueue::Status one = remote->queue().status();
      all.tasks += one.tasks;
      all.running += one.running;
      all.failing += one.failing;
      all.lag = std::max(all.lag, one.lag);
      missing += remote->away() ? 1 : 0;
    }
    tasks.set(static_cast<double>(all.tasks));
    running.set(static_cast<double>(all.running));
    failing.set(static_cast<double>(all.failing));
    lag.set(to_seconds(all.lag));
    away.set(static_cast<double>(missing));
  });
}

Result<void> TagReplicator::add_remotes(const Remotes& remotes) {
  if (services_.table == nullptr && !remotes.empty())
    return fail(Errc::internal, "remotes: there is no database to keep replications in");
  for (const auto& [address, patterns] : remotes) {
    if (auto parsed = io::Address::parse(address); !parsed)
      return fail(Errc::invalid_argument, "remotes: \"{}\": {}; name a build-index as host:port", address,
                  parsed.error().message);
    auto remote = std::make_unique<Remote>(*this, address);
    for (const std::string& pattern : patterns) {
      if (auto added = remote->add_pattern(pattern); !added) return added;
    }
    remotes_.push_back(std::move(remote));
  }
  return {};
}

Result<void> TagReplicator::start() {
  if (services_.table == nullptr) return {};
  auto left = services_.table->read();
  if (!left) return propagate(left);
  std::map<std::string, std::vector<retry::RetryTask>> by_remote;
  std::vector<retry::RetryTask> unwanted;
  for (retry::RetryTask& task : *left) {
    const auto remote = std::find_if(remotes_.begin(), remotes_.end(), [&task](const auto& one) {
      return one->address() == task.ns && one->wants(task.name);
    });
    (remote == remotes_.end() ? unwanted : by_remote[task.ns]).push_back(std::move(task));
  }
  for (const auto& remote : remotes_) {
    remote->queue().take_over(std::move(by_remote[remote->address()]));
    services_.tasks.spawn_essential(remote->queue().run(), "replication to " + remote->address());
  }
  if (!unwanted.empty()) services_.tasks.spawn(drop(std::move(unwanted)), "unwanted replications");
  return {};
}

Task<> TagReplicator::drop(std::vector<retry::RetryTask> unwanted) {
  log_.warn("{} tags were to be copied to where no remote wants them any more: forgotten", unwanted.size());
  for (const retry::RetryTask& task : unwanted) {
    auto removed = co_await services_.table->remove(task.ns, task.name);
    if (!removed) log_.warn("{} to {} is not forgotten: {}", task.name, task.ns, removed.error().message);
  }
}

bool TagReplicator::wanted(const std::string& tag) const {
  return std::any_of(remotes_.begin(), remotes_.end(),
                     [&tag](const auto& remote) { return remote->wants(tag); });
}

Task<Result<void>> TagReplicator::add(Wish wish) {
  for (const auto& remote : remotes_) {
    if (!remote->wants(wish.tag)) continue;
    retry::RetryTask task;
    task.ns = remote->address();
    task.name = wish.tag;
    task.delay = wish.delay;
    task.digest = wish.digest;
    task.dependencies = wish.dependencies;
    task.forwarded = wish.forwarded;
    auto added = co_await remote->queue().add(std::move(task));
    if (added) {
      counts_.added.add();
      continue;
    }
    if (added.error().code == Errc::unavailable) counts_.refused.add();
    co_return fail(added.error().code, "replication of tag {} to {}: {}", wish.tag, remote->address(),
                   added.error().message);
  }
  co_return Result<void>{};
}

Task<> TagReplicator::stop() {
  for (const auto& remote : remotes_) co_await remote->queue().stop();
}

}  // namespace krakend::build_index
