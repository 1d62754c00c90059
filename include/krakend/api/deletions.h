#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>

#include "krakend/api/clients.h"
#include "krakend/core/digest.h"
#include "krakend/core/log.h"
#include "krakend/io/clock.h"
#include "krakend/io/random.h"

namespace krakend::api {

/// A deleted blob is gone at once from origins and backends. Those who only have copies (agents, other
/// proxies) learn of it from a note at the build-index: a tag of our own, named after the day and the digest.
std::string deletion_note(std::chrono::system_clock::time_point at, const Digest& digest);

/// What all notes begin with.
std::string deletion_notes_prefix();
/// The day of a note, from its name; nullopt for other tags.
std::optional<std::chrono::sys_days> deletion_note_day(std::string_view name);

/// Reads the notes and drops the copies: all notes at the start, then every 5 min (± 20 %) those of today and
/// yesterday (UTC). So a copy lives at most 6 min longer than its original, plus what its holder was down.
/// Loop thread.
class DeletionFeed {
 public:
  using Drop = std::function<Task<Result<void>>(Digest)>;
  DeletionFeed(TagClient& tags, io::Clock& clock, io::Random& random, Drop drop, Logger log);
  /// Until it is cancelled.
  Task<> run();

 private:
  Task<> read(std::string prefix, std::unordered_set<std::string>& listed);

  TagClient& tags_;
  io::Clock& clock_;
  io::Random& random_;
  const Drop drop_;
  Logger log_;
  std::unordered_set<std::string> seen_;  ///< notes of the last reading
};

}  // namespace krakend::api
