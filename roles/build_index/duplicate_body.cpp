#include "roles/build_index/duplicate_body.h"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

namespace krakend::build_index {
namespace {

/// Beyond, a delay is nonsense: the 292 years of a Go duration would keep a task for ever.
constexpr Duration longest_delay = 365 * 24h;

std::string lower_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

Result<Duration> parse_delay(const nlohmann::json& value) {
  if (value.is_null()) return Duration(0);
  if (!value.is_number_integer())
    return fail(Errc::invalid_argument, "decode body: \"delay\" must be whole nanoseconds");
  const Duration delay(value.get<int64_t>());
  if (delay > longest_delay)
    return fail(Errc::invalid_argument, "decode body: \"delay\" must be at most a year");
  return std::max(delay, Duration(0));
}

Result<std::vector<Digest>> parse_dependencies(const nlohmann::json& value) {
  std::vector<Digest> digests;
  if (value.is_null()) return digests;
  if (!value.is_array())
    return fail(Errc::invalid_argument, "decode body: \"dependencies\" must be a list of digests");
  for (const nlohmann::json& item : value) {
    if (!item.is_string())
      return fail(Errc::invalid_argument, "decode body: \"dependencies\" must be a list of digests");
    auto digest = Digest::parse(item.get<std::string>());
    if (!digest)
      return fail(Errc::invalid_argument, "decode body: \"dependencies\": {}", digest.error().message);
    digests.push_back(*digest);
  }
  return digests;
}

}  // namespace

Result<DuplicateBody> parse_duplicate_body(const std::string& json) {
  const auto body = nlohmann::json::parse(json, nullptr, false);
  if (!body.is_object())
    return fail(Errc::invalid_argument, "decode body: expected a JSON object with \"delay\"");
  DuplicateBody out;
  for (const auto& item : body.items()) {
    const std::string key = lower_case(item.key());
    if (key == "delay") {
      auto delay = parse_delay(item.value());
      if (!delay) return propagate(delay);
      out.delay = *delay;
    } else if (key == "dependencies") {
      auto dependencies = parse_dependencies(item.value());
      if (!dependencies) return propagate(dependencies);
      out.dependencies = std::move(*dependencies);
    }
  }
  return out;
}

}  // namespace krakend::build_index
