#pragma once

#include <cstdint>

#include "krakend/core/time.h"

namespace krakend::p2p {

/// Bytes a second over about the last three looks at a counter. Pure: time is an argument.
class Meter {
 public:
  void look(uint64_t total, TimePoint now) {
    if (last_ != TimePoint{} && now > last_) {
      const double rate = static_cast<double>(total - total_) / to_seconds(now - last_);
      rate_ = looks_ == 0 ? rate : rate_ + weight * (rate - rate_);
      ++looks_;
    }
    total_ = total;
    last_ = now;
  }
  double rate() const { return rate_; }

 private:
  static constexpr double weight = 0.5;
  uint64_t total_ = 0;
  TimePoint last_{};
  double rate_ = 0;
  unsigned looks_ = 0;
};

}  // namespace krakend::p2p
