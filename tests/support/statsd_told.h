#pragma once

#include <map>
#include <string>

#include "krakend/core/metrics.h"

namespace krakend::test {

/// What statsd is told since the last call: sums by "<name>|<kind>", and how many there were of a timer.
inline std::map<std::string, uint64_t> statsd_told(const Metrics& metrics) {
  std::map<std::string, uint64_t> told;
  for (const StatsdSample& sample : metrics.changes())
    told[sample.name + "|" + sample.kind] += sample.kind == "ms" ? 1 : std::stoull(sample.value);
  return told;
}

}  // namespace krakend::test
