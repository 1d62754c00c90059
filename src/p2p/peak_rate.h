#pragma once

#include <array>
#include <cstdint>

#include "krakend/core/time.h"

namespace krakend::p2p {

/// Bytes a second at best, lately: the fastest of the last windows counts, so that one that lacked work does
/// not make a link look slow. Pure: time is an argument.
class PeakRate {
 public:
  static constexpr Duration window = 250ms;

  void add(uint64_t bytes, TimePoint now);
  /// 0 while it is not known.
  double bytes_per_second() const { return rate_; }

 private:
  std::array<uint64_t, 8> windows_{};
  size_t at_ = 0;
  TimePoint window_start_{};
  double rate_ = 0;
};

}  // namespace krakend::p2p
