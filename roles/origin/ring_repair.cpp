#include "roles/origin/ring_repair.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "krakend/api/clients.h"
#include "krakend/api/requests.h"

namespace krakend::origin {
namespace {

/// Blobs that are looked at between two pauses: the rest of the origin's work comes first.
constexpr unsigned blobs_per_step = 64;
constexpr Duration step_pause = 20ms;
constexpr unsigned tell_attempts = 5;
constexpr Duration tell_pause = 2s;

}  // namespace

RingRepair::RingRepair(Services services, std::string self, Logger log)
    : services_(services),
      given_(services.metrics.counter({"repair_given_total", "Copies given to other owners by ring repair"})),
      dropped_(services.metrics.counter(
          {"repair_dropped_total", "Blobs dropped that this origin does not own and all owners have"})),
      failed_(services.metrics.counter(
          {"repair_failures_total", "Owners that could not be asked, or given a copy"})),
      self_(std::move(self)),
      log_(log.module("repair")),
      woken_(services.loop) {}

nlohmann::json RingRepair::last_report() const {
  if (!last_) return nullptr;
  return {{"looked_at", last_->looked_at},
          {"given", last_->given},
          {"dropped", last_->dropped},
          {"failed", last_->failed}};
}

void RingRepair::add_routes(http::Router& router) {
  router.add("POST", "/x/repair", api::bind(this, &RingRepair::asked));
}

void RingRepair::wake() {
  wanted_ = true;
  woken_.notify_all();
}

Task<http::Response> RingRepair::asked(http::Request& /*request*/) {
  wake();
  co_return http::text_response(202);
}

Task<> RingRepair::tell_others() {
  std::vector<std::string> left = services_.ring.members();
  std::erase(left, self_);
  for (unsigned attempt = 0; attempt < tell_attempts && !left.empty(); ++attempt) {
    if (attempt > 0) co_await services_.clock.sleep(tell_pause);
    for (const std::string& host : std::vector<std::string>(left)) {
      api::OriginClient origin(services_.client, host);
      auto told = co_await origin.repair();
      // Whatever it answers: an origin of the reference has no such thing.
      if (told || told.error().http_status != 0) std::erase(left, host);
    }
  }
}

Task<> RingRepair::run() {
  co_await tell_others();
  for (;;) {
    if (!wanted_) co_await woken_.wait_for(services_.clock, interval);
    co_await services_.clock.sleep(settle_time);
    wanted_ = false;
    if (services_.ring.members().size() < 2) continue;
    auto report = co_await pass();
    if (!report) {
      log_.warn("the store cannot be looked through: {}", report.error().message);
      continue;
    }
    last_ = *report;
    given_.add(report->given);
    dropped_.add(report->dropped);
    failed_.add(report->failed);
    const bool quiet = report->given == 0 && report->dropped == 0 && report->failed == 0;
    log_.write(quiet ? LogLevel::debug : LogLevel::info,
               fmt::format("ring: {} blobs looked at, {} copies given to other owners, {} dropped, {} failed",
                           report->looked_at, report->given, report->dropped, report->failed));
  }
}

Task<Result<RingRepair::Report>> RingRepair::pass() {
  Report report;
  for (unsigned shard = 0; shard < storage::BlobStore::shards; ++shard) {
    auto entries = co_await services_.store.scan(shard);
    if (!entries) co_return propagate(entries);
    for (const storage::BlobEntry& entry : *entries) {
      co_await look_at(entry.digest, report);
      if (++report.looked_at % blobs_per_step == 0) co_await services_.clock.sleep(step_pause);
    }
  }
  co_return report;
}

Task<> RingRepair::look_at(Digest digest, Report& report) {
  const std::vector<std::string> owners = services_.ring.locations(digest);
  bool everywhere = true;
  for (const std::string& host : owners) {
    if (host == self_) continue;
    api::OriginClient origin(services_.client, host);
    const std::string ns(api::push_namespace);
    auto there = co_await origin.stat(ns, digest, true);
    if (there) continue;
    if (there.error().code != Errc::not_found) {
      everywhere = false;
      ++report.failed;
      continue;
    }
    auto given = co_await services_.replicator.give(host, digest);
    if (given) {
      ++report.given;
    } else {
      everywhere = false;
      ++report.failed;
      log_.warn("{} cannot be given to origin {}: {}", digest.str(), host, given.error().message);
    }
  }
  const bool own = std::find(owners.begin(), owners.end(), self_) != owners.end();
  if (own || !everywhere) co_return;
  auto dropped = co_await services_.store.evict(digest);
  if (dropped) ++report.dropped;
}

}  // namespace krakend::origin
