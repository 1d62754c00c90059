#include "p2p/bandwidth.h"

namespace krakend::p2p {

Task<> Bandwidth::acquire(uint64_t bytes) {
  if (rate_ == 0) co_return;
  const TimePoint now = clock_.now();
  const TimePoint begin = std::max(free_, now - credit);
  const double seconds = static_cast<double>(bytes) / static_cast<double>(rate_);
  free_ = begin + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
  if (begin <= now) co_return;
  waits_.add();
  co_await clock_.sleep(begin - now);
}

}  // namespace krakend::p2p
