#pragma once

#include <algorithm>
#include <cmath>

#include "krakend/core/time.h"
#include "krakend/io/random.h"

namespace krakend::io {

/// Growing pauses between the attempts of one thing, with jitter so that many do not stay in step.
struct Backoff {
  Duration first;
  double factor;
  Duration limit;
  /// Each pause varies by this fraction up and down.
  double jitter = 0.05;

  /// Pause before attempt `retry` + 1; the first retry is 0.
  Duration pause(unsigned retry, Random& random) const {
    const double grown = std::min(to_seconds(first) * std::pow(factor, retry), to_seconds(limit));
    const double spread = 1 + jitter * (2 * random.unit() - 1);
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(grown * spread));
  }
};

}  // namespace krakend::io
