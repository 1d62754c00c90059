#pragma once

#include <algorithm>
#include <cstdint>

#include "krakend/core/time.h"
#include "krakend/core/units.h"
#include "p2p/peak_rate.h"

namespace krakend::p2p {

/// How many bytes one process may have asked for and not got, over all torrents: about what arrives in a
/// tenth of a second. More would only lie in queues of senders that others could use. Pure: time is an
/// argument.
class RequestBudget {
 public:
  static constexpr uint64_t at_first = 32 * MiB;
  static constexpr uint64_t most = 128 * MiB;
  static constexpr uint64_t least = 8;  ///< requests
  static constexpr double seconds_of_rate = 0.11;
  /// The requests that a process begins with, and the time without a byte after which it begins anew.
  static constexpr uint64_t first_few = 2;
  static constexpr Duration pause = 2s;

  /// Whether another request of that size may be sent. A few always may: whoever is asked may be busy with
  /// others.
  bool allows(uint64_t bytes) const { return requests_ < least || outstanding_ + bytes <= limit(); }
  /// Whether the process gets nothing yet, so that it has little to pass on.
  bool begins(TimePoint now) const { return made_ < first_few || paused(now); }
  void requested(uint64_t bytes, TimePoint now) {
    if (paused(now)) made_ = 0;
    ++made_;
    outstanding_ += bytes;
    ++requests_;
  }
  /// The request is answered, or given up.
  void ended(uint64_t bytes) {
    outstanding_ -= std::min(outstanding_, bytes);
    requests_ -= requests_ > 0 ? 1 : 0;
  }
  void arrived(uint64_t bytes, TimePoint now) {
    ingress_.add(bytes, now);
    last_arrival_ = now;
  }

  uint64_t outstanding() const { return outstanding_; }
  /// Bytes a second; 0 while it is not known.
  double rate() const { return ingress_.bytes_per_second(); }
  uint64_t limit() const {
    if (rate() <= 0) return at_first;
    return std::min(most, static_cast<uint64_t>(rate() * seconds_of_rate));
  }

 private:
  bool paused(TimePoint now) const { return requests_ == 0 && now - last_arrival_ > pause; }

  uint64_t outstanding_ = 0;
  uint64_t requests_ = 0;
  uint64_t made_ = 0;  ///< since the process has begun
  TimePoint last_arrival_{};
  PeakRate ingress_;
};

}  // namespace krakend::p2p
