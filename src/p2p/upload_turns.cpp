#include "p2p/upload_turns.h"

#include <iterator>

namespace krakend::p2p {

UploadTurns::Place::Place(UploadTurns& turns, TimePoint asked, io::Condition& wake)
    : turns_(turns), at_(turns.waiting_.emplace(asked, &wake)) {}

UploadTurns::Place::~Place() {
  turns_.waiting_.erase(at_);
  turns_.call_next();
}

std::optional<UploadTurns::Turn> UploadTurns::Place::take() {
  if (!turns_.room() || at_ != turns_.waiting_.begin()) return std::nullopt;
  const TimePoint now = turns_.clock_.now();
  turns_.running_.insert(now);
  return std::optional<Turn>(std::in_place, turns_, now);
}

bool UploadTurns::room() const {
  const TimePoint now = clock_.now();
  const auto young = running_.upper_bound(now - long_transfer);
  const auto busy = static_cast<size_t>(std::distance(young, running_.end()));
  return busy < at_a_time || (busy < at_most && backlog_.has_spare(now));
}

void UploadTurns::end(TimePoint began) {
  running_.erase(running_.find(began));
  call_next();
}

void UploadTurns::call_next() {
  if (!waiting_.empty() && room()) waiting_.begin()->second->notify_all();
}

}  // namespace krakend::p2p
