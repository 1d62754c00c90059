#include "krakend/io/bandwidth.h"

namespace krakend::io {

Duration Bandwidth::time_of(uint64_t bytes, double share) const {
  const double seconds = static_cast<double>(bytes) / (static_cast<double>(rate_) * share);
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

bool Bandwidth::is_pressed(size_t index, TimePoint now) const {
  return std::any_of(
      classes_.begin(), classes_.begin() + static_cast<ptrdiff_t>(index),
      [now](const Class& other) { return other.last != TimePoint{} && now - other.last < active_for; });
}

/// Until its share allows it, or nobody else has anything to move right now.
Task<> Bandwidth::wait_for_share(size_t index, uint64_t bytes) {
  Class& own = classes_.at(index);
  TimePoint now = clock_.now();
  const TimePoint turn = std::max(own.free, now);
  own.free = turn + time_of(bytes, shares.at(index));
  while (now < turn && free_ > now && is_pressed(index, now)) {
    own.last = now;
    co_await clock_.sleep(std::min(turn, std::max(free_, now + look_again)) - now);
    now = clock_.now();
  }
  own.free -= std::max(turn - now, Duration{0});
}

Task<> Bandwidth::acquire(uint64_t bytes, Traffic traffic) {
  if (rate_ == 0) co_return;
  const auto index = static_cast<size_t>(traffic);
  Class& own = classes_.at(index);
  own.last = clock_.now();
  if (is_pressed(index, own.last)) co_await wait_for_share(index, bytes);
  const TimePoint now = clock_.now();
  own.last = now;
  const TimePoint begin = std::max(free_, now - credit);
  free_ = begin + time_of(bytes, 1);
  if (begin <= now) co_return;
  waits_.add();
  co_await clock_.sleep(begin - now);
}

}  // namespace krakend::io
