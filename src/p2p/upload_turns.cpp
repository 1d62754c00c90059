#include "p2p/upload_turns.h"

namespace krakend::p2p {

UploadTurns::Place::Place(UploadTurns& turns, TimePoint asked, io::Condition& wake)
    : turns_(turns), at_(turns.waiting_.emplace(asked, &wake)) {}

UploadTurns::Place::~Place() {
  turns_.waiting_.erase(at_);
  turns_.call_next();
}

std::optional<UploadTurns::Turn> UploadTurns::Place::take() {
  if (!turns_.room() || at_ != turns_.waiting_.begin()) return std::nullopt;
  const size_t counts = at_->first == newcomer ? newcomer_counts : 1;
  return std::optional<Turn>(std::in_place, turns_, turns_.running_.emplace(turns_.clock_.now(), counts));
}

bool UploadTurns::room() const {
  const TimePoint now = clock_.now();
  size_t busy = 0;
  for (auto young = running_.upper_bound(now - long_transfer); young != running_.end(); ++young)
    busy += young->second;
  return busy < at_a_time || (busy < at_most && backlog_.has_spare(now));
}

void UploadTurns::end(Running::iterator transfer) {
  running_.erase(transfer);
  call_next();
}

void UploadTurns::call_next() {
  if (!waiting_.empty() && room()) waiting_.begin()->second->notify_all();
}

}  // namespace krakend::p2p
