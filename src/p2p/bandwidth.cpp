#include "p2p/bandwidth.h"

namespace krakend::p2p {

Duration Bandwidth::time_of(uint64_t bytes, double share) const {
  const double seconds = static_cast<double>(bytes) / (static_cast<double>(rate_) * share);
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

bool Bandwidth::is_pressed(size_t index, TimePoint now) const {
  return std::any_of(
      classes_.begin(), classes_.begin() + static_cast<ptrdiff_t>(index),
      [now](const Class& other) { return other.last != TimePoint{} && now - other.last < active_for; });
}

Task<> Bandwidth::acquire(uint64_t bytes, Traffic traffic) {
  if (rate_ == 0) co_return;
  const auto index = static_cast<size_t>(traffic);
  Class& own = classes_.at(index);
  own.last = clock_.now();
  if (is_pressed(index, own.last)) {
    const TimePoint turn = std::max(own.free, own.last);
    own.free = turn + time_of(bytes, shares.at(index));
    if (turn > own.last) co_await clock_.sleep(turn - own.last);
  }
  const TimePoint now = clock_.now();
  own.last = now;
  const TimePoint begin = std::max(free_, now - credit);
  free_ = begin + time_of(bytes, 1);
  if (begin <= now) co_return;
  waits_.add();
  co_await clock_.sleep(begin - now);
}

}  // namespace krakend::p2p
