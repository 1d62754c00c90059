#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "krakend/cluster/hosts.h"
#include "krakend/core/log.h"
#include "krakend/core/metrics.h"
#include "krakend/http/client.h"
#include "krakend/http/server.h"
#include "krakend/io/clock.h"
#include "krakend/io/condition.h"
#include "krakend/io/task_group.h"
#include "krakend/storage/blob_store.h"
#include "roles/origin/replicator.h"

namespace krakend::origin {

/// Keeps every blob at its owners: looks through the store, gives the other owners what they lack, and drops
/// what this origin does not own once all owners have it. At the start of this origin, when another one says
/// that it has started (it may have lost its disk), when one comes or goes, and now and then. Slowly: one
/// blob after the other. Loop thread.
class RingRepair {
 public:
  struct Services {
    io::Loop& loop;
    io::Clock& clock;
    http::Client& client;
    storage::BlobStore& store;
    const cluster::HashRing& ring;
    Replicator& replicator;
    const Metrics& metrics;
  };
  RingRepair(Services services, std::string self, Logger log);

  void add_routes(http::Router& router);
  /// Until it is cancelled.
  Task<> run();
  /// A pass is wanted, soon.
  void wake();

  /// The last pass through the store, as JSON for operators; null before the first one.
  nlohmann::json last_report() const;

  static constexpr Duration interval = 1h;
  /// Between something that asks for a pass and the pass: several come at once.
  static constexpr Duration settle_time = 2s;

 private:
  struct Report {
    uint64_t looked_at = 0;
    uint64_t given = 0;
    uint64_t dropped = 0;
    uint64_t failed = 0;
  };
  /// POST /x/repair: another origin has started.
  Task<http::Response> asked(http::Request& request);
  /// Tells the others that this origin has started.
  Task<> tell_others();
  Task<Result<Report>> pass();
  Task<> look_at(Digest digest, Report& report);

  Services services_;
  std::optional<Report> last_;  ///< of the last pass
  Counter given_;
  Counter dropped_;
  Counter failed_;
  const std::string self_;
  Logger log_;
  bool wanted_ = true;
  io::Condition woken_;
};

}  // namespace krakend::origin
