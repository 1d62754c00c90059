#pragma once

#include <vector>

#include "krakend/core/metrics.h"
#include "krakend/core/peer.h"

namespace krakend::tracker {

/// How many peers of each kind an announcer gets, under the reference's names.
class HandoutCounts {
 public:
  explicit HandoutCounts(const Metrics& metrics)
      : origins_(of_kind(metrics, "origin", "origin_seeders")),
        complete_(of_kind(metrics, "complete", "complete_agent_seeders")),
        incomplete_(of_kind(metrics, "incomplete", "incomplete_agent_seeders")) {}

  void handed_out(const std::vector<PeerInfo>& peers) const {
    size_t origins = 0;
    size_t complete = 0;
    for (const PeerInfo& peer : peers) {
      if (peer.origin)
        ++origins;
      else if (peer.complete)
        ++complete;
    }
    origins_.observe(static_cast<double>(origins));
    complete_.observe(static_cast<double>(complete));
    incomplete_.observe(static_cast<double>(peers.size() - origins - complete));
  }

 private:
  static Histogram of_kind(const Metrics& metrics, const char* kind, const char* statsd) {
    constexpr size_t reference_bounds = 20;  // 0 ... 19 (contract config-ops §10.2)
    return metrics.histogram(
        {"handed_out_peers", "Peers that an announcer got, by kind", statsd, {{"kind", kind}}},
        counting_bounds(reference_bounds));
  }
  Histogram origins_;
  Histogram complete_;
  Histogram incomplete_;
};

}  // namespace krakend::tracker
