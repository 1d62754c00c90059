#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <vector>

#include "krakend/core/time.h"
#include "p2p/message.h"

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
  /// What the next piece would take if it were asked for now, while nothing is: the queue that made the last
  /// ones slow has drained meanwhile. Never less than the fastest took. nullopt before the first piece.
  std::optional<double> expected(TimePoint now) const;

 private:
  TimePoint last_{};
  std::optional<double> seconds_;
  double fastest_ = 0;
};

/// What a peer said last of what it has to send. Pure: time is an argument.
class ToldLoad {
 public:
  /// Bytes, and bytes a second: so that sums and products of what a peer says stay in their range.
  static constexpr uint64_t most = uint64_t{1} << 56;

  void tell(Load load, TimePoint now) {
    load_ = Load{std::min(load.queued, most), std::min(load.rate, most)};
    at_ = now;
  }
  /// Bytes that are probably still before us; nullopt when it has never said.
  std::optional<uint64_t> queued(TimePoint now) const;
  /// Bytes a second; 0: not known.
  uint64_t rate() const { return load_ ? load_->rate : 0; }

 private:
  std::optional<Load> load_;
  TimePoint at_{};
};

/// Seconds until a peer that does not tell its load would deliver one more piece: it has so many requests of
/// ours, the oldest since `oldest` seconds, and takes `piece_time` for a piece.
double guessed_wait(double piece_time, unsigned requests, double oldest);

/// A neighbour that has something we need.
struct SourceState {
  size_t index = 0;  ///< the caller's
  double wait = 0;   ///< seconds until it would deliver one more piece
};

/// The one that is expected to deliver first, the first of equals. Give it a few at random: always the best
/// of all would send everybody to the same.
std::optional<size_t> choose_source(const std::vector<SourceState>& sources);

/// How long an answer may take before the piece is asked for elsewhere.
Duration request_deadline(double piece_time, uint64_t outstanding_bytes, double own_rate);

}  // namespace krakend::p2p
