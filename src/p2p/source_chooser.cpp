#include "p2p/source_chooser.h"

#include <algorithm>

namespace krakend::p2p {
namespace {

constexpr size_t compared = 3;
constexpr double shortest_deadline = 1;
constexpr double longest_deadline = 60;

}  // namespace

void PieceTimes::arrived(TimePoint now) {
  const double took = to_seconds(now - last_);
  seconds_ = seconds_ ? *seconds_ * (1 - weight_of_new) + took * weight_of_new : took;
  last_ = now;
}

double expected_wait(const SourceState& source) {
  return std::max(source.piece_time, source.oldest) * (source.requests + 1);
}

std::optional<size_t> choose_source(const std::vector<SourceState>& sources, uint64_t draw) {
  std::optional<size_t> best;
  double shortest = 0;
  const size_t tries = std::min(compared, sources.size());
  for (size_t i = 0; i < tries; ++i) {
    const SourceState& source = sources[(draw >> 20 * i) % sources.size()];
    const double wait = expected_wait(source);
    if (best && wait >= shortest) continue;
    best = source.index;
    shortest = wait;
  }
  return best;
}

Duration request_deadline(double piece_time, uint64_t outstanding_bytes, double own_rate) {
  const double own = own_rate > 0 ? static_cast<double>(outstanding_bytes) / own_rate : 0;
  const double seconds = std::clamp(3 * (0.1 + piece_time + own), shortest_deadline, longest_deadline);
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

}  // namespace krakend::p2p
