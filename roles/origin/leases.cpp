#include "roles/origin/leases.h"

#include <algorithm>
#include <vector>

#include "krakend/core/units.h"

namespace krakend::origin {

namespace {

std::string seconds_text(Duration time) {
  return format_duration(std::chrono::floor<std::chrono::seconds>(time));
}

}  // namespace

Leases::Leases(io::Loop& loop, io::Clock& clock) : clock_(clock), known_since_(clock.now()), thawed_(loop) {}

Task<> Leases::use(Digest digest) {
  while (frozen_.contains(digest)) co_await thawed_.wait();
  if (uses_.size() >= uses_max) forget_older_half();
  uses_[digest] = clock_.now();
}

void Leases::forget_older_half() {
  std::vector<TimePoint> times;
  times.reserve(uses_.size());
  for (const auto& [digest, at] : uses_) times.push_back(at);
  const auto middle = times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2);
  std::nth_element(times.begin(), middle, times.end());
  known_since_ = std::max(known_since_, *middle);
  std::erase_if(uses_, [&](const auto& use) { return use.second <= known_since_; });
}

Result<void> Leases::check(const Digest& digest, Duration unused_for) const {
  const TimePoint now = clock_.now();
  if (now - known_since_ < unused_for) {
    return fail(Errc::conflict, "this origin knows only of the last {} who used what",
                seconds_text(now - known_since_));
  }
  const auto use = uses_.find(digest);
  if (use != uses_.end() && now - use->second <= unused_for)
    return fail(Errc::conflict, "used {} ago", seconds_text(now - use->second));
  return {};
}

Result<void> Leases::freeze(const Digest& digest, Duration unused_for) {
  if (auto possible = check(digest, unused_for); !possible) return possible;
  if (frozen_.contains(digest)) return fail(Errc::conflict, "another collection is removing it");
  frozen_[digest] = clock_.now() + freeze_time;
  if (frozen_.size() == 1) timer_ = clock_.after(freeze_time, [this] { thaw(); });
  return {};
}

/// The collector is gone, or too slow: what it has not removed stays.
void Leases::thaw() {
  const TimePoint now = clock_.now();
  std::erase_if(frozen_, [now](const auto& entry) { return entry.second <= now; });
  thawed_.notify_all();
  if (frozen_.empty()) return;
  TimePoint next = TimePoint::max();
  for (const auto& [digest, until] : frozen_) next = std::min(next, until);
  timer_ = clock_.after(next - now, [this] { thaw(); });
}

bool Leases::frozen(const Digest& digest) const {
  const auto found = frozen_.find(digest);
  return found != frozen_.end() && clock_.now() + freeze_margin <= found->second;
}

void Leases::release(const Digest& digest) {
  if (frozen_.erase(digest) == 0) return;
  if (frozen_.empty()) timer_.cancel();
  thawed_.notify_all();
}

}  // namespace krakend::origin
