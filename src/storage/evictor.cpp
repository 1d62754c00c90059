#include "krakend/storage/evictor.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "krakend/core/units.h"

namespace krakend::storage {
namespace {

/// Between two looks at how full the disk is.
constexpr Duration disk_interval = 10s;
/// Between two looks at all blobs, at most, where their bytes are limited.
constexpr Duration budget_interval = 1min;
constexpr double steps_per_doubling = 8;
constexpr Duration release_limit = 2s;
constexpr Duration release_poll = 5ms;

Duration age_of(std::chrono::system_clock::time_point at, std::chrono::system_clock::time_point now) {
  return at >= now ? Duration::zero() : Duration(now - at);
}

/// Older than `ttl`, or left alone for longer than `tti`; zero: never for that reason.
bool expired(const BlobEntry& entry, std::chrono::system_clock::time_point now, Duration ttl, Duration tti) {
  if (ttl > Duration::zero() && age_of(entry.modified, now) > ttl) return true;
  return tti > Duration::zero() && age_of(entry.accessed, now) > tti;
}

}  // namespace

size_t AgeHistogram::bucket(Duration age) {
  const double seconds = std::max(to_seconds(age), 0.0) + 1;
  return static_cast<size_t>(std::log2(seconds) * steps_per_doubling);
}

Duration AgeHistogram::least_age(size_t bucket) {
  const double seconds = std::exp2(static_cast<double>(bucket) / steps_per_doubling) - 1;
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

void AgeHistogram::add(Duration age, uint64_t bytes) {
  bytes_[std::min(bucket(age), bytes_.size() - 1)] += bytes;
}

Duration AgeHistogram::cutoff(uint64_t bytes) const {
  uint64_t found = 0;
  for (size_t index = bytes_.size(); index-- > 0;) {
    found += bytes_[index];
    if (found >= bytes) return least_age(index);
  }
  return Duration::zero();
}

Evictor::Evictor(Services services, EvictionOptions options, std::vector<EvictionPlace> places, Logger log,
                 const Metrics& metrics)
    : services_(services),
      options_(options),
      places_(std::move(places)),
      log_(log.module("eviction")),
      evicted_(metrics.counter({"evicted_blobs_total", "Blobs removed by age, disuse or lack of room"})),
      evicted_bytes_(metrics.counter({"evicted_bytes_total", "Bytes of the blobs that were evicted"})),
      aggressive_(metrics.counter({"eviction_for_room_total",
                                   "Times that blobs had to go because the disk was full", "aggro_gc_runs"})),
      cached_bytes_(
          metrics.gauge({"cache_bytes", "Bytes of complete blobs, at the last look at all", "disk_usage"})),
      idle_(services.loop) {}

Task<> Evictor::run() {
  TimePoint swept_at = services_.clock.now();
  for (;;) {
    co_await services_.clock.sleep(disk_interval);
    co_await services_.store.write_access_times(services_.clock.wall());
    auto made = co_await make_room();
    if (!made) log_.warn("no room can be made: {}", made.error().message);
    const bool budget = options_.bytes_max != 0;
    const Duration interval = budget ? std::min(options_.interval, budget_interval) : options_.interval;
    if ((options_.disabled && !budget) || services_.clock.now() < swept_at + interval) continue;
    swept_at = services_.clock.now();
    auto swept = co_await sweep();
    if (!swept) log_.warn("the cache cannot be looked through: {}", swept.error().message);
  }
}

void Evictor::tell(const char* why, const Report& report) const {
  if (report.evicted == 0) return;
  log_.info("{}: {} of {} blobs evicted, {} bytes", why, report.evicted, report.blobs, report.evicted_bytes);
}

Task<Result<Evictor::DiskUse>> Evictor::disk_use(const EvictionPlace& place) {
  auto space = co_await services_.loop.offload([&] { return services_.disk.space(place.directory); });
  if (!space) co_return propagate(space);
  // What is reserved for others can neither be used nor freed.
  DiskUse use{space->used + space->available, 0};
  if (use.total != 0) use.percent = static_cast<unsigned>(space->used * 100 / use.total);
  co_return use;
}

Task<Result<Evictor::Report>> Evictor::evict_if(Decide decide) {
  Report report;
  for (unsigned shard = 0; shard < BlobStore::shards; ++shard) {
    auto entries = co_await services_.store.scan(shard);
    if (!entries) co_return propagate(entries);
    for (const BlobEntry& entry : *entries) {
      ++report.blobs;
      report.bytes += entry.size;
      if (!decide(entry)) continue;
      auto evicted = co_await services_.store.evict(entry.digest);
      if (evicted) {
        ++report.evicted;
        report.evicted_bytes += entry.size;
        evicted_.add();
        evicted_bytes_.add(entry.size);
      } else if (evicted.error().code != Errc::conflict && evicted.error().code != Errc::not_found) {
        co_return propagate(evicted);
      }
    }
  }
  cached_bytes_.set(static_cast<double>(report.bytes - report.evicted_bytes));
  co_return report;
}

Task<bool> Evictor::free(uint64_t bytes) {
  while (busy_) co_await idle_.wait();
  busy_ = true;
  struct Done {
    Evictor& self;
    ~Done() {
      self.busy_ = false;
      self.idle_.notify_all();
    }
  } const done{*this};
  const EvictionPlace& place = places_.front();
  const auto before = co_await services_.loop.offload([&] { return services_.disk.space(place.directory); });
  // Others want room too, and files are not all that a blob needs.
  auto report = co_await evict_bytes(place, bytes + bytes / 4 + MiB);
  if (!report) log_.warn("no room can be made: {}", report.error().message);
  if (!report || report->evicted == 0) co_return false;
  // Who was serving a blob closes its file a moment later.
  for (TimePoint limit = services_.clock.now() + release_limit; services_.clock.now() < limit;) {
    const auto now = co_await services_.loop.offload([&] { return services_.disk.space(place.directory); });
    if (!before || !now || now->available >= before->available + bytes) break;
    co_await services_.clock.sleep(release_poll);
  }
  co_return true;
}

Task<Result<Evictor::Report>> Evictor::sweep() {
  Duration ttl = options_.disabled ? Duration::zero() : options_.ttl;
  if (!options_.disabled && options_.aggressive_threshold != 0 && options_.aggressive_lower_threshold == 0) {
    auto use = co_await disk_use(places_.front());
    if (use && use->percent >= options_.aggressive_threshold) ttl = options_.aggressive_ttl;
  }
  const auto now = services_.clock.wall();
  const Duration tti = options_.disabled ? Duration::zero() : options_.tti;
  Decide decide = [now, ttl, tti](const BlobEntry& entry) { return expired(entry, now, ttl, tti); };
  auto report = co_await evict_if(std::move(decide));
  if (!report) co_return report;
  tell("too old, or unread for too long", *report);
  const uint64_t left = report->blobs - report->evicted;
  if (options_.capacity != 0 && left > options_.capacity) {
    Weigh one = [](const BlobEntry&) { return uint64_t{1}; };
    auto more = co_await evict_least_used(left - options_.capacity, std::move(one));
    if (!more) co_return more;
    tell("more blobs than the store may have", *more);
    report->evicted += more->evicted;
    report->evicted_bytes += more->evicted_bytes;
  }
  const uint64_t bytes = report->bytes - std::min(report->bytes, report->evicted_bytes);
  if (options_.bytes_max != 0 && bytes > options_.bytes_max) {
    Weigh size = [](const BlobEntry& entry) { return entry.size; };
    auto more = co_await evict_least_used(bytes - options_.bytes_max, std::move(size));
    if (!more) co_return more;
    tell("more bytes than the store may have", *more);
    report->evicted += more->evicted;
    report->evicted_bytes += more->evicted_bytes;
  }
  auto partials = co_await sweep_partials();
  if (!partials) log_.warn("partial blobs cannot be looked through: {}", partials.error().message);
  co_return report;
}

Task<Result<void>> Evictor::sweep_partials() {
  if (options_.partial_disabled) co_return Result<void>{};
  const auto now = services_.clock.wall();
  for (unsigned shard = 0; shard < BlobStore::shards; ++shard) {
    auto entries = co_await services_.store.scan_partials(shard);
    if (!entries) co_return propagate(entries);
    for (const BlobEntry& entry : *entries) {
      if (!expired(entry, now, options_.partial_ttl, options_.partial_tti)) continue;
      auto removed = co_await services_.store.evict_partial(entry.digest);
      if (removed) log_.info("partial blob {} was left alone: removed", entry.digest.str());
    }
  }
  co_return Result<void>{};
}

Task<Result<Evictor::Report>> Evictor::make_room() {
  Report total;
  for (const EvictionPlace& place : places_) {
    auto report = co_await make_room_at(place);
    if (!report) co_return report;
    total.evicted += report->evicted;
    total.evicted_bytes += report->evicted_bytes;
  }
  co_return total;
}

Task<Result<Evictor::Report>> Evictor::make_room_at(const EvictionPlace& place) {
  auto use = co_await disk_use(place);
  if (!use) co_return propagate(use);
  unsigned target = 100;
  if (use->percent > options_.disk_high) target = options_.disk_low;
  const bool aggressive = options_.aggressive_threshold != 0 && options_.aggressive_lower_threshold != 0;
  if (aggressive && use->percent >= options_.aggressive_threshold)
    target = std::min(target, options_.aggressive_lower_threshold);
  if (use->percent <= target) co_return Report{};
  log_.info("the disk of {} is {} % full: the least recently used blobs go until it is at {} %",
            place.directory, use->percent, target);
  aggressive_.add();
  co_return co_await evict_bytes(place, use->total / 100 * (use->percent - target));
}

Task<Result<Evictor::Report>> Evictor::evict_least_used(uint64_t weight, Weigh weigh) {
  const auto now = services_.clock.wall();
  const auto histogram = std::make_shared<AgeHistogram>();
  Decide count = [now, histogram, &weigh](const BlobEntry& entry) {
    histogram->add(age_of(entry.accessed, now), weigh(entry));
    return false;
  };
  auto counted = co_await evict_if(std::move(count));
  if (!counted) co_return counted;
  const Duration cutoff = histogram->cutoff(weight);
  uint64_t left = weight;
  Decide decide = [now, cutoff, &left, &weigh](const BlobEntry& entry) {
    const uint64_t own = weigh(entry);
    if (left == 0 || own == 0 || age_of(entry.accessed, now) < cutoff) return false;
    left -= std::min(left, own);
    return true;
  };
  co_return co_await evict_if(std::move(decide));
}

Task<Result<Evictor::Report>> Evictor::evict_bytes(const EvictionPlace& place, uint64_t bytes) {
  Weigh size = [&place](const BlobEntry& entry) { return place.holds(entry.digest) ? entry.size : 0; };
  auto report = co_await evict_least_used(bytes, std::move(size));
  if (report) tell("the disk is too full", *report);
  if (report && report->evicted_bytes < bytes) {
    log_.warn("{} of {} bytes could be freed in {}: the rest is in use, not written back, or no blob",
              report->evicted_bytes, bytes, place.directory);
  }
  co_return report;
}

}  // namespace krakend::storage
