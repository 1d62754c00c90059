#include "krakend/api/deletions.h"

#include <cstdio>
#include <utility>

#include "krakend/core/internal_tags.h"

namespace krakend::api {
namespace {

constexpr Duration interval = 5min;
constexpr int64_t jitter_percent = 20;

std::string notes_of_day(std::chrono::sys_days day) {
  const std::chrono::year_month_day date(day);
  return fmt::format("{}/{:04}-{:02}-{:02}", deletion_notes_prefix(), static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
}

}  // namespace

std::string deletion_notes_prefix() {
  return fmt::format("{}deleted", internal_tag_prefix);
}

std::optional<std::chrono::sys_days> deletion_note_day(std::string_view name) {
  const std::string prefix = deletion_notes_prefix() + "/";
  constexpr size_t date_size = 10;
  if (!name.starts_with(prefix) || name.size() < prefix.size() + date_size) return std::nullopt;
  const std::string date(name.substr(prefix.size(), date_size));
  int year = 0;
  unsigned month = 0;
  unsigned day = 0;
  if (std::sscanf(date.c_str(), "%4d-%2u-%2u", &year, &month, &day) != 3) return std::nullopt;
  const std::chrono::year_month_day written{std::chrono::year{year}, std::chrono::month{month},
                                            std::chrono::day{day}};
  return written.ok() ? std::optional(std::chrono::sys_days(written)) : std::nullopt;
}

std::string deletion_note(std::chrono::system_clock::time_point at, const Digest& digest) {
  return notes_of_day(std::chrono::floor<std::chrono::days>(at)) + ":" + digest.hex();
}

DeletionFeed::DeletionFeed(TagClient& tags, io::Clock& clock, io::Random& random, Drop drop, Logger log)
    : tags_(tags), clock_(clock), random_(random), drop_(std::move(drop)), log_(std::move(log)) {}

Task<> DeletionFeed::run() {
  std::unordered_set<std::string> listed;
  co_await read(deletion_notes_prefix(), listed);
  for (;;) {
    seen_ = std::move(listed);
    listed.clear();
    const auto percent = 100 - jitter_percent + static_cast<int64_t>(random_.below(2 * jitter_percent + 1));
    co_await clock_.sleep(interval / 100 * percent);
    const auto today = std::chrono::floor<std::chrono::days>(clock_.wall());
    co_await read(notes_of_day(today - std::chrono::days(1)), listed);
    co_await read(notes_of_day(today), listed);
  }
}

Task<> DeletionFeed::read(std::string prefix, std::unordered_set<std::string>& listed) {
  auto names = co_await tags_.list(std::move(prefix));
  if (!names) {
    log_.debug("deletion notes: {}", names.error().message);
    listed.insert(seen_.begin(), seen_.end());
    co_return;
  }
  for (const std::string& name : *names) {
    const bool known = seen_.contains(name);
    listed.insert(name);
    if (known) continue;
    const auto digest = Digest::parse_hex(std::string_view(name).substr(name.rfind(':') + 1));
    if (!digest) continue;
    auto dropped = co_await drop_(*digest);
    if (dropped) continue;
    log_.warn("deleted blob {} stays here: {}", digest->str(), dropped.error().message);
    listed.erase(name);  // tried again
  }
}

}  // namespace krakend::api
