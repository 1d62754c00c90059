#pragma once

#include <memory>
#include <string>
#include <vector>

#include "krakend/api/services.h"
#include "krakend/cluster/hosts.h"

namespace krakend::tracker {

struct TrackerOptions {
  io::Address listen;
  cluster::HostsOptions origins;    ///< origin.hosts.static
  unsigned announce_limit = 50;     ///< trackerserver.announce_limit, peers
  Duration announce_interval = 3s;  ///< trackerserver.announce_interval
  Duration peer_ttl = 5h;           ///< peerstore.local.ttl
  /// peerhandoutpolicy.priority: completeness (true) or default (false)
  bool completeness = true;
};

/// Introduces peers to each other: announce (both forms), metainfo relay, health (contract http-api §5).
class Tracker {
 public:
  Tracker(api::Services services, TrackerOptions options);
  ~Tracker();
  /// Listens; returns the bound address.
  Result<io::Address> start();
  /// What may change while it runs: announce_limit, announce_interval, the fixed list of origins.
  void configure(const TrackerOptions& options);
  Task<> stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace krakend::tracker
