#include "p2p/source_chooser.h"

#include <algorithm>

namespace krakend::p2p {
namespace {

constexpr double shortest_deadline = 1;
constexpr double longest_deadline = 60;

}  // namespace

void PieceTimes::arrived(TimePoint now) {
  const double took = to_seconds(now - last_);
  fastest_ = seconds_ ? std::min(fastest_, took) : took;
  seconds_ = seconds_ ? *seconds_ * (1 - weight_of_new) + took * weight_of_new : took;
  last_ = now;
}

std::optional<double> PieceTimes::expected(TimePoint now) const {
  if (!seconds_) return std::nullopt;
  return std::max(fastest_, *seconds_ - to_seconds(now - last_));
}

std::optional<uint64_t> ToldLoad::queued(TimePoint now) const {
  if (!load_) return std::nullopt;
  const double gone = static_cast<double>(load_->rate) * to_seconds(now - at_);
  if (gone >= static_cast<double>(load_->queued)) return 0;
  return load_->queued - static_cast<uint64_t>(gone);
}

double guessed_wait(double piece_time, unsigned requests, double oldest) {
  return std::max(piece_time, oldest) * (requests + 1);
}

std::optional<size_t> choose_source(const std::vector<SourceState>& sources) {
  const auto best =
      std::min_element(sources.begin(), sources.end(),
                       [](const SourceState& a, const SourceState& b) { return a.wait < b.wait; });
  return best == sources.end() ? std::nullopt : std::optional(best->index);
}

Duration request_deadline(double piece_time, uint64_t outstanding_bytes, double own_rate) {
  const double own = own_rate > 0 ? static_cast<double>(outstanding_bytes) / own_rate : 0;
  const double seconds = std::clamp(3 * (0.1 + piece_time + own), shortest_deadline, longest_deadline);
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

}  // namespace krakend::p2p
