#pragma once

#include <algorithm>
#include <cmath>

#include "krakend/core/time.h"
#include "krakend/io/random.h"

namespace krakend::api {

/// Growing pauses between the attempts of one call, with jitter so that many clients do not stay in step.
struct Backoff {
  Duration first;
  double factor;
  Duration limit;
  /// Each pause varies by this fraction up and down.
  double jitter = 0.05;

  /// Pause before attempt `retry` + 1; the first retry is 0.
  Duration pause(unsigned retry, io::Random& random) const {
    const double grown = to_seconds(first) * std::pow(factor, retry);
    const double spread = 1 + jitter * (2 * random.unit() - 1);
    const double seconds = std::min(grown, to_seconds(limit)) * spread;
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
  }
};

/// How 202 is polled (contract http-api §11.3, p2p §15.4): for at most poll_limit in all.
inline constexpr Backoff poll_backoff{1s, 1.3, 5s};
inline constexpr Duration poll_limit = 15min;

}  // namespace krakend::api
