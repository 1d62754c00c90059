#include "roles/origin/write_back.h"

#include <utility>

#include "krakend/api/clients.h"

namespace krakend::origin {

WriteBack::WriteBack(Services services, retry::RetryQueueOptions options, Logger log)
    : services_(services),
      log_(log.module("write-back")),
      promise_over_(services.loop),
      queue_(
          {services.loop, services.clock, services.random, services.table}, options,
          [this](retry::RetryTask task) { return execute(std::move(task)); }, log_) {
  count(services_.metrics);
}

void WriteBack::count(const Metrics& metrics) {
  added_ = metrics.counter({"writeback_added_total", "Blobs that are to be copied", "tasks.added"});
  refused_ = metrics.counter(
      {"writeback_refused_total", "Blobs that were refused because too many wait: writeback.tasks_max"});
  written_ = metrics.counter({"writeback_blobs_total", "Blobs that were copied to their backend"});
  failures_ =
      metrics.counter({"writeback_failures_total", "Attempts to copy a blob that failed", "task_failures"});
  missing_ = metrics.counter(
      {"writeback_missing_total", "Blobs that were gone before they were copied", "missing_files"});
  // The reference's buckets (contract backends-replication §9).
  const std::vector<Duration> bounds = exponential_bounds(1s, 1.4, 30);
  upload_seconds_ =
      metrics.histogram({"writeback_upload_seconds", "Until the backend had a blob", "upload"}, bounds);
  lifetime_ = metrics.histogram(
      {"writeback_lifetime_seconds", "From the push of a blob until the backend had it", "lifetime"}, bounds);
  const Gauge tasks =
      metrics.gauge({"writeback_tasks", "Blobs that wait for their backend", "queue.total.size"});
  const Gauge running = metrics.gauge({"writeback_tasks_running", "Blobs that are being copied"});
  const Gauge failing = metrics.gauge({"writeback_tasks_failing", "Blobs that wait after a failed attempt"});
  const Gauge lag =
      metrics.gauge({"writeback_lag_seconds", "Age of the oldest blob that waits, its delay not counted"});
  metrics.on_read([this, tasks, running, failing, lag] {
    const retry::RetryQueue::Status now = queue_.status();
    tasks.set(static_cast<double>(now.tasks));
    running.set(static_cast<double>(now.running));
    failing.set(static_cast<double>(now.failing));
    lag.set(to_seconds(now.lag));
  });
}

Result<void> WriteBack::start() {
  if (auto loaded = queue_.load(); !loaded) return loaded;
  services_.tasks.spawn_essential(queue_.run(), "write-back");
  services_.tasks.spawn(adopt_flagged(), "write-back of flagged blobs");
  return {};
}

Task<> WriteBack::adopt_flagged() {
  for (unsigned shard = 0; shard < storage::BlobStore::shards; ++shard) {
    auto flagged = co_await services_.store.list_persistent(shard);
    if (flagged)
      co_await adopt(std::move(*flagged));
    else
      log_.warn("blobs that wait for write-back are not looked for: {}", flagged.error().message);
  }
  log_.info("looked at all blobs for those that are not written back");
}

Task<> WriteBack::adopt(std::vector<Digest> flagged) {
  for (const Digest& digest : flagged) {
    if (queue_.has(digest.hex())) continue;
    log_.warn("{} was to be written back, but nobody remembers where to: taken for a pushed one",
              digest.str());
    retry::RetryTask task{std::string(api::push_namespace), digest.hex()};
    auto added = co_await queue_.add(std::move(task));
    if (!added) log_.warn("{}: {}", digest.str(), added.error().message);
  }
}

Task<Result<void>> WriteBack::enqueue(std::string ns, Digest digest, Duration delay) {
  retry::RetryTask task{std::move(ns), digest.hex(), delay};
  auto added = co_await queue_.add(std::move(task));
  if (added)
    added_.add();
  else if (added.error().code == Errc::unavailable)
    refused_.add();
  co_return added;
}

WriteBack::Promise::Promise(WriteBack& owner, Digest digest) : owner_(&owner), digest_(digest) {
  ++owner.promised_[digest];
}

WriteBack::Promise::~Promise() {
  if (owner_ == nullptr) return;
  const auto found = owner_->promised_.find(digest_);
  if (--found->second == 0) owner_->promised_.erase(found);
  owner_->promise_over_.notify_all();
}

Task<Result<WriteBack::Promise>> WriteBack::promise(std::string ns, Digest digest, Duration delay) {
  Promise promise(*this, digest);
  auto added = co_await enqueue(std::move(ns), digest, delay);
  if (!added) co_return propagate(added);
  co_return std::move(promise);
}

Task<> WriteBack::withdraw(Promise promise) {
  const Digest digest = promise.digest();
  auto there = co_await services_.store.size(digest);
  if (there || promised_.at(digest) > 1) co_return;
  // An attempt may be waiting for the end of the promise.
  withdrawn_.insert(digest);
  { const Promise over(std::move(promise)); }
  auto forgotten = co_await queue_.forget(digest.hex());
  withdrawn_.erase(digest);
  if (!forgotten) log_.warn("{} was not committed: {}", digest.str(), forgotten.error().message);
}

Task<Result<void>> WriteBack::ensure(std::string ns, Digest digest) {
  auto backend = services_.backends.find(ns);
  if (!backend) {
    log_.warn("{} is not written back: no backend matches namespace {}", digest.str(), ns);
    co_return Result<void>{};
  }
  auto there = co_await (*backend)->stat(digest.hex());
  if (there) co_return Result<void>{};
  auto flagged_before = co_await services_.store.persist(digest);
  auto flagged = co_await services_.store.set_persist(digest, true);
  if (!flagged) co_return flagged;
  auto added = co_await enqueue(std::move(ns), digest, Duration::zero());
  const bool ours = !flagged_before || !*flagged_before;
  if (!added && ours && !queue_.has(digest.hex()) && !promised_.contains(digest)) {
    auto cleared = co_await services_.store.set_persist(digest, false);
    if (!cleared) log_.warn("{} stays protected from deletion: {}", digest.str(), cleared.error().message);
  }
  co_return added;
}

Task<Result<void>> WriteBack::finish(Digest digest) {
  return queue_.run_now(digest.hex());
}

Task<Result<void>> WriteBack::forget(Digest digest) {
  return queue_.forget(digest.hex());
}

Task<Result<void>> WriteBack::execute(retry::RetryTask task) {
  auto digest = Digest::parse_hex(task.name);
  if (!digest) {
    log_.error("\"{}\" is no digest: nothing can be written back", task.name);
    co_return Result<void>{};
  }
  while (promised_.contains(*digest)) co_await promise_over_.wait();
  if (withdrawn_.contains(*digest)) co_return Result<void>{};
  auto copied = co_await copy(std::move(task), *digest);
  if (!copied) failures_.add();
  if (!copied) co_return copied;
  auto cleared = co_await services_.store.set_persist(*digest, false);
  if (!cleared && cleared.error().code == Errc::not_found) co_return Result<void>{};
  co_return cleared;
}

Task<Result<void>> WriteBack::copy(retry::RetryTask task, Digest digest) {
  const std::string& ns = task.ns;
  auto backend = services_.backends.find(ns);
  if (!backend) {
    log_.warn("{} is not written back: no backend matches namespace {}", digest.str(), ns);
    co_return Result<void>{};
  }
  auto there = co_await (*backend)->stat(digest.hex());
  if (there) co_return Result<void>{};
  auto blob = co_await services_.store.open(digest);
  if (blob) {
    auto good = co_await (*blob)->check();
    if (!good) blob = fail(good.error());
  }
  const bool lost = !blob && (blob.error().code == Errc::not_found || blob.error().code == Errc::corrupt);
  if (lost) {
    auto copy = co_await services_.replicator.find(ns, digest);
    if (!copy) {
      missing_.add();
      log_.error("{} cannot be written back: it is gone from the cache, and {}", digest.str(),
                 copy.error().message);
      co_return Result<void>{};
    }
    // Its other owner writes it back when its turn comes.
    log_.warn("{} is gone from the cache; origin {} has it", digest.str(), copy->host);
    co_return Result<void>{};
  }
  if (!blob) co_return propagate(blob);
  const TimePoint began = services_.clock.now();
  auto uploaded =
      co_await (*backend)->upload(digest.hex(), (*blob)->file(), services_.store.data_path(digest));
  if (!uploaded) co_return uploaded;
  written_.add();
  upload_seconds_.observe(to_seconds(services_.clock.now() - began));
  lifetime_.observe(to_seconds(services_.clock.wall() - task.created));
  log_.info("{} written back, namespace {}", digest.str(), ns);
  co_return uploaded;
}

}  // namespace krakend::origin
