#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "krakend/core/time.h"

namespace krakend::p2p {

/// How long a peer takes for a piece, smoothed. Pure: time is an argument.
class PieceTimes {
 public:
  static constexpr double weight_of_new = 0.3;

  /// A request was sent to a peer that had nothing to do for us.
  void began(TimePoint now) { last_ = now; }
  /// A piece has arrived; the next one of the peer counts from here.
  void arrived(TimePoint now);
  /// Seconds; nullopt before the first piece.
  std::optional<double> seconds() const { return seconds_; }

 private:
  TimePoint last_{};
  std::optional<double> seconds_;
};

/// A neighbour that has something we need.
struct SourceState {
  size_t index = 0;       ///< the caller's
  unsigned requests = 0;  ///< ours, not answered
  double piece_time = 0;  ///< seconds, smoothed
  double oldest = 0;      ///< age of the oldest open request, seconds
};

/// Seconds until it would deliver one more piece, as far as we can know.
double expected_wait(const SourceState& source);

/// The one that is expected to deliver first of up to three that `draw` picks: always the best of all would
/// send everybody to the same.
std::optional<size_t> choose_source(const std::vector<SourceState>& sources, uint64_t draw);

/// How long an answer may take before the piece is asked for elsewhere.
Duration request_deadline(double piece_time, uint64_t outstanding_bytes, double own_rate);

}  // namespace krakend::p2p
