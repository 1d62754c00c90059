#pragma once

#include "krakend/core/metrics.h"
#include "krakend/core/result.h"
#include "krakend/core/units.h"
#include "krakend/p2p/engine.h"

namespace krakend::agent {

/// Counts what is asked of an agent, under the reference's names. Copies count together.
class PullCounters {
 public:
  explicit PullCounters(const Metrics& metrics)
      : downloads_(metrics.counter(
            {"downloads_total", "Blobs asked for that were not on the disk whole", "download_requests"})),
        failures_(metrics.counter({"download_failures_total",
                                   "Blobs that could not be got, not found included", "download_errors"})),
        served_(metrics.counter({"served_bytes_total",
                                 "Bytes of the blobs that were asked for",
                                 "mb_served",
                                 {},
                                 1.0 / static_cast<double>(MiB)})) {}

  void opened(const Result<p2p::OpenedBlob>& blob) const {
    if (!blob || blob->source == p2p::Source::swarm) downloads_.add();
    if (!blob)
      failures_.add();
    else
      served_.add(blob->content->size());
  }

 private:
  Counter downloads_;
  Counter failures_;
  Counter served_;
};

}  // namespace krakend::agent
