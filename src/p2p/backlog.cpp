#include "p2p/backlog.h"

#include <cmath>

namespace krakend::p2p {

void Backlog::change(uint64_t queued) {
  queued_ = queued;
  if (queued_ == 0) was_idle_ = true;
  changed_.notify_all();
}

void Backlog::sent(uint64_t bytes, TimePoint now) {
  peak_.add(bytes, now);
  smoothed_ = present_rate(now) + static_cast<double>(bytes) / to_seconds(smoothing);
  last_sent_ = now;
  if (now - window_start_ >= PeakRate::window) {
    // One that was asked for little is not slow.
    const double kept = was_idle_ ? capacity_ : capacity_ * kept_when_slower;
    capacity_ = std::max(kept, peak_.bytes_per_second());
    window_start_ = now;
    was_idle_ = false;
  }
  dropped(bytes);
}

Task<> Backlog::drained(io::Clock& clock, Duration limit) {
  const TimePoint deadline = clock.now() + limit;
  while (queued_ > 0 && clock.now() < deadline) co_await changed_.wait_for(clock, deadline - clock.now());
}

double Backlog::present_rate(TimePoint now) const {
  return smoothed_ * std::exp(-to_seconds(now - last_sent_) / to_seconds(smoothing));
}

bool Backlog::has_spare(TimePoint now) const {
  return capacity_ > 0 && present_rate(now) < well_used * capacity_;
}

}  // namespace krakend::p2p
