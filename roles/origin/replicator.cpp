#include "roles/origin/replicator.h"

#include <utility>

#include "krakend/io/parallel.h"

namespace krakend::origin {
namespace {

/// Receivers at once; owners of a digest are max_replica, usually 3.
constexpr size_t parallel_copies = 8;

}  // namespace

Replicator::Replicator(Services services, std::string self, Duration write_back_stagger, Logger log)
    : services_(services),
      self_(std::move(self)),
      write_back_stagger_(write_back_stagger),
      log_(std::move(log)),
      failures_(services.metrics.counter({"replication_failures_total",
                                          "Copies of blobs that could not be given to another owner",
                                          "replicate_blob_errors"})),
      seconds_(services.metrics.timer(
          {"replication_seconds", "Until a blob from the backend was given to all other owners",
           "replicate_blob"},
          {0.01, 0.1, 1, 10, 100})) {}

std::vector<std::string> Replicator::others(const Digest& digest) const {
  std::vector<std::string> hosts = services_.ring.locations(digest);
  std::erase(hosts, self_);
  return hosts;
}

std::string Replicator::first_owner(const Digest& digest) const {
  const std::string first = services_.ring.locations(digest).front();
  return first == self_ ? std::string() : first;
}

api::OriginClient Replicator::client_of(std::string host) const {
  return {services_.client, std::move(host), {&services_.egress, &services_.ingress}};
}

Task<> Replicator::duplicate(std::string ns, Digest digest) {
  std::vector<std::string> hosts = others(digest);
  if (hosts.empty()) co_return;
  auto blob = co_await services_.store.open(digest);
  if (!blob) {
    log_.warn("{} is not replicated: {}", digest.str(), blob.error().message);
    co_return;
  }
  services_.random.shuffle(hosts);
  const size_t count = hosts.size();
  std::function<Task<>(size_t)> work = [this, hosts = std::move(hosts), ns, blob = *blob](size_t i) {
    return duplicate_to(hosts[i], ns, blob, write_back_stagger_ * static_cast<int64_t>(i + 1));
  };
  co_await io::run_parallel(services_.loop, services_.tasks, count, parallel_copies, work);
}

Task<> Replicator::duplicate_to(std::string host, std::string ns, storage::BlobPtr blob, Duration delay) {
  api::OriginClient origin = client_of(host);
  auto sent = co_await origin.duplicate(ns, blob->digest(), blob->file(), blob->size(), delay);
  note(host, blob->digest(), sent);
}

Task<> Replicator::transfer(Digest digest) {
  std::vector<std::string> hosts = others(digest);
  if (hosts.empty()) co_return;
  auto blob = co_await services_.store.open(digest);
  if (!blob) {
    log_.warn("{} is not replicated: {}", digest.str(), blob.error().message);
    co_return;
  }
  const size_t count = hosts.size();
  std::function<Task<>(size_t)> work = [this, hosts = std::move(hosts), blob = *blob](size_t i) {
    return transfer_to(hosts[i], blob);
  };
  const TimePoint began = services_.clock.now();
  co_await io::run_parallel(services_.loop, services_.tasks, count, parallel_copies, work);
  seconds_.observe(to_seconds(services_.clock.now() - began));
}

Task<> Replicator::transfer_to(std::string host, storage::BlobPtr blob) {
  api::OriginClient origin = client_of(host);
  auto sent = co_await origin.transfer(blob->digest(), blob->file(), blob->size());
  note(host, blob->digest(), sent);
}

Task<Result<void>> Replicator::give(std::string host, Digest digest) {
  auto blob = co_await services_.store.open(digest);
  if (!blob) co_return propagate(blob);
  auto good = co_await (*blob)->check();
  if (!good) co_return good;
  api::OriginClient origin = client_of(std::move(host));
  co_return co_await origin.transfer(digest, (*blob)->file(), (*blob)->size());
}

Task<Result<Replicator::Copy>> Replicator::find(std::string ns, Digest digest) {
  for (const std::string& host : others(digest)) {
    api::OriginClient origin(services_.client, host);
    auto size = co_await origin.stat(ns, digest, true);
    if (size) co_return Copy{host, *size};
  }
  co_return fail(Errc::not_found, "no other origin has {}", digest.str());
}

Task<Result<void>> Replicator::fetch(Copy copy, std::string ns, Digest digest, uint64_t piece_length) {
  auto upload = co_await services_.store.create_upload();
  if (!upload) co_return propagate(upload);
  api::OriginClient origin = client_of(copy.host);
  Result<void> received;
  {
    const auto sink = (*upload)->writer(0);
    received = co_await origin.fetch(std::move(ns), digest, copy.size, *sink);
  }
  if (!received) {
    co_await (*upload)->discard();
    co_return received;
  }
  auto committed = co_await (*upload)->commit(digest, piece_length);
  if (!committed && committed.error().code != Errc::already_exists) co_return propagate(committed);
  log_.info("{} fetched from origin {}", digest.str(), copy.host);
  co_return Result<void>{};
}

void Replicator::note(const std::string& host, const Digest& digest, const Result<void>& sent) const {
  if (sent) {
    log_.debug("{} replicated to {}", digest.str(), host);
  } else {
    failures_.add();
    log_.warn("replication of {} to {} failed: {}", digest.str(), host, sent.error().message);
  }
}

}  // namespace krakend::origin
