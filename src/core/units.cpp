#include "krakend/core/units.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>

namespace krakend {
namespace {

using std::chrono::nanoseconds;

struct DurationUnit {
  std::string_view name;
  double ns;
};
// Longer names first: "ms" must not be read as "m".
constexpr std::array<DurationUnit, 8> duration_units{{{"ns", 1},
                                                      {"us", 1e3},
                                                      {"\xC2\xB5s", 1e3},  // µ, micro sign
                                                      {"\xCE\xBCs", 1e3},  // μ, Greek mu
                                                      {"ms", 1e6},
                                                      {"s", 1e9},
                                                      {"m", 60e9},
                                                      {"h", 3600e9}}};

Result<nanoseconds> bad_duration(std::string_view text) {
  return fail(Errc::invalid_argument, "\"{}\" is not a duration such as 10s, 1h30m or 500ms", text);
}

bool all_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// Bytes of a size unit in lower case; 0 for an unknown one.
uint64_t unit_bytes(std::string_view unit) {
  if (unit.empty() || unit == "b" || unit == "byte") return 1;
  constexpr std::string_view letters = "kmgtpe";
  constexpr std::array<std::string_view, 6> words{"kilo", "mega", "giga", "tera", "peta", "exa"};
  const auto index = letters.find(unit.front());
  if (index == std::string_view::npos) return 0;
  const auto value = uint64_t{1} << (10 * (index + 1));
  if (unit.size() == 1 || unit.substr(1) == "b") return value;
  const auto word = words.at(index);
  if (unit == word) return value;
  if (unit.starts_with(word) && (unit.substr(word.size()) == "byte" || unit.substr(word.size()) == "bytes"))
    return value;
  return 0;
}

bool component_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/// One path component of a repository: [a-z0-9]+ joined by '.', '_', '__' or dashes.
bool valid_component(std::string_view part) {
  if (part.empty() || !component_char(part.front()) || !component_char(part.back())) return false;
  for (size_t i = 0; i < part.size();) {
    if (component_char(part[i])) {
      ++i;
      continue;
    }
    const char separator = part[i];
    size_t run = 0;
    while (part[i + run] == separator) ++run;  // ends: the last character is alphanumeric
    const bool allowed = (separator == '.' && run == 1) || (separator == '_' && run <= 2) || separator == '-';
    if (!allowed || !component_char(part[i + run])) return false;
    i += run;
  }
  return true;
}

}  // namespace

Result<nanoseconds> parse_duration(std::string_view text) {
  const auto whole = text;
  const bool negative = text.starts_with('-');
  if (negative || text.starts_with('+')) text.remove_prefix(1);
  if (all_digits(text)) {
    int64_t value = 0;
    if (std::from_chars(text.data(), text.data() + text.size(), value).ec != std::errc{})
      return bad_duration(whole);
    return nanoseconds(negative ? -value : value);
  }
  if (text.empty()) return bad_duration(whole);
  double total = 0;
  while (!text.empty()) {
    double number = 0;
    const auto parsed =
        std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
    if (parsed.ec != std::errc{} || number < 0 || text.front() == '-') return bad_duration(whole);
    text.remove_prefix(static_cast<size_t>(parsed.ptr - text.data()));
    const auto unit = std::find_if(duration_units.begin(), duration_units.end(),
                                   [text](const DurationUnit& u) { return text.starts_with(u.name); });
    if (unit == duration_units.end()) return bad_duration(whole);
    text.remove_prefix(unit->name.size());
    total += number * unit->ns;
  }
  if (total > 9.2e18) return bad_duration(whole);
  const auto value = static_cast<int64_t>(std::llround(total));
  return nanoseconds(negative ? -value : value);
}

std::string format_duration(nanoseconds value) {
  if (value < nanoseconds::zero()) return "-" + format_duration(-value);
  if (value < std::chrono::seconds(1)) {
    if (value.count() == 0) return "0s";
    if (value.count() % 1'000'000 == 0) return fmt::format("{}ms", value.count() / 1'000'000);
    if (value.count() % 1'000 == 0) return fmt::format("{}us", value.count() / 1'000);
    return fmt::format("{}ns", value.count());
  }
  const auto seconds = value.count() / 1'000'000'000;
  const auto rest = value.count() % 1'000'000'000;
  std::string text;
  if (seconds >= 3600) text += fmt::format("{}h", seconds / 3600);
  if (seconds % 3600 >= 60) text += fmt::format("{}m", seconds % 3600 / 60);
  if (rest != 0) {
    auto fraction = fmt::format("{:09}", rest);
    fraction.erase(fraction.find_last_not_of('0') + 1);
    text += fmt::format("{}.{}s", seconds % 60, fraction);
  } else if (seconds % 60 != 0) {
    text += fmt::format("{}s", seconds % 60);
  }
  return text;
}

Result<uint64_t> parse_size(std::string_view text) {
  const auto bad = [text] {
    return fail(Errc::invalid_argument, "\"{}\" is not a size such as 4MB, 512k or 1073741824", text);
  };
  const auto digits = std::min(text.find_first_not_of("0123456789"), text.size());
  uint64_t number = 0;
  if (digits == 0 || std::from_chars(text.data(), text.data() + digits, number).ec != std::errc{})
    return bad();
  auto unit = text.substr(digits);
  unit.remove_prefix(std::min(unit.find_first_not_of(' '), unit.size()));
  if (unit.size() == 2 && unit[1] == 'b' &&
      std::string_view("KMGTPE").find(unit[0]) != std::string_view::npos) {
    return fail(Errc::invalid_argument, "\"{}\" means bits: write {}B for bytes", text, unit[0]);
  }
  std::string lower(unit);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  const auto factor = unit_bytes(lower);
  if (factor == 0) return bad();
  if (number > std::numeric_limits<uint64_t>::max() / factor) {
    return fail(Errc::invalid_argument, "\"{}\" exceeds 64 bits", text);
  }
  return number * factor;
}

std::string format_size(uint64_t bytes) {
  constexpr std::array<std::string_view, 7> names{"B", "KB", "MB", "GB", "TB", "PB", "EB"};
  size_t unit = 0;
  while (bytes != 0 && bytes % 1024 == 0 && unit + 1 < names.size()) {
    bytes /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{}", bytes) : fmt::format("{}{}", bytes, names.at(unit));
}

bool valid_repository(std::string_view name) {
  if (name.empty() || name.size() > 255) return false;
  while (true) {
    const auto slash = name.find('/');
    if (!valid_component(name.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    name.remove_prefix(slash + 1);
  }
}

bool valid_tag(std::string_view tag) {
  if (tag.empty() || tag.size() > 128 || tag.front() == '.' || tag.front() == '-') return false;
  return std::all_of(tag.begin(), tag.end(), [](char c) {
    return (c >= 'A' && c <= 'Z') || component_char(c) || c == '_' || c == '.' || c == '-';
  });
}

}  // namespace krakend
