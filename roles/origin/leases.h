#pragma once

#include <cstddef>
#include <unordered_map>

#include "krakend/core/digest.h"
#include "krakend/core/result.h"
#include "krakend/core/time.h"
#include "krakend/io/clock.h"
#include "krakend/io/condition.h"
#include "krakend/io/loop.h"

namespace krakend::origin {

/// Which blobs were used lately, and which ones the garbage collector is removing right now. A push that has
/// been told that a blob is there must find it there until its manifest names it: so whoever asks for a blob
/// has it for a while, and who asks for one that is being removed waits for the outcome. In memory: after a
/// restart nothing is known of the time before, and nothing that was last used then can be frozen. Loop
/// thread.
class Leases {
 public:
  Leases(io::Loop& loop, io::Clock& clock);

  /// Notes a use; before that waits while the blob is frozen.
  Task<> use(Digest digest);

  /// Whether the blob may be frozen: it was not used for `unused_for`. The error (conflict) says why not.
  Result<void> check(const Digest& digest, Duration unused_for) const;
  /// Check, and then from now on for freeze_time nobody gets to use it.
  Result<void> freeze(const Digest& digest, Duration unused_for);
  /// Frozen, and so for some time to come.
  bool frozen(const Digest& digest) const;
  void release(const Digest& digest);

  static constexpr Duration freeze_time = 30s;
  /// What is removed has to be gone this long before the freeze ends.
  static constexpr Duration freeze_margin = 5s;
  /// Uses that are remembered; some 14 MB. When there are more the older half is forgotten.
  static constexpr size_t uses_max = 200'000;

 private:
  void forget_older_half();
  void thaw();

  io::Clock& clock_;
  std::unordered_map<Digest, TimePoint> uses_;
  TimePoint known_since_;
  std::unordered_map<Digest, TimePoint> frozen_;  ///< until then
  io::Condition thawed_;
  io::Timer timer_;
};

}  // namespace krakend::origin
