#include "p2p/peak_rate.h"

#include <algorithm>

namespace krakend::p2p {

void PeakRate::add(uint64_t bytes, TimePoint now) {
  if (now - window_start_ >= window) {
    const bool idle = now - window_start_ > window * static_cast<int64_t>(windows_.size());
    if (idle) {
      windows_.fill(0);
    } else {
      for (; now - window_start_ >= window; window_start_ += window) {
        at_ = (at_ + 1) % windows_.size();
        windows_[at_] = 0;
      }
      // The window that has just begun is not over yet, so it does not count.
      const uint64_t best = *std::max_element(windows_.begin(), windows_.end());
      rate_ = static_cast<double>(best) / to_seconds(window);
    }
    if (idle) window_start_ = now;
  }
  windows_[at_] += bytes;
}

}  // namespace krakend::p2p
