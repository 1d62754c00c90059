#include "p2p/upload_turns.h"

#include <algorithm>
#include <iterator>

namespace krakend::p2p {

bool UploadTurns::room() const {
  const auto young = running_.upper_bound(clock_.now() - long_transfer);
  return static_cast<size_t>(std::distance(young, running_.end())) < at_a_time;
}

void UploadTurns::end(TimePoint began) {
  running_.erase(running_.find(began));
  changed_.notify_all();
}

Task<> UploadTurns::wait_idle(Duration limit) {
  const TimePoint deadline = clock_.now() + limit;
  while ((!running_.empty() || !waiting_.empty()) && clock_.now() < deadline)
    co_await changed_.wait_for(clock_, std::min(look_again, deadline - clock_.now()));
}

Task<UploadTurns::Turn> UploadTurns::take(TimePoint asked) {
  // Leaves the line on every way out, that of a cancelled task included.
  struct InLine {
    std::multiset<TimePoint>& line;
    std::multiset<TimePoint>::iterator place;
    ~InLine() { line.erase(place); }
  };
  {
    const InLine mine{waiting_, waiting_.insert(asked)};
    while (!room() || mine.place != waiting_.begin()) co_await changed_.wait_for(clock_, look_again);
  }
  const TimePoint now = clock_.now();
  running_.insert(now);
  changed_.notify_all();  // there may be room for the next one too
  co_return Turn(*this, now);
}

}  // namespace krakend::p2p
