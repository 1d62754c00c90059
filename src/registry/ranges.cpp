#include "registry/ranges.h"

#include <algorithm>
#include <limits>
#include <string>

namespace krakend::registry {

namespace {

constexpr uint64_t max_value = std::numeric_limits<uint64_t>::max();

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// Decimal digits only; what does not fit counts as the largest value, so it lies behind every body.
std::optional<uint64_t> parse_number(std::string_view text) {
  if (text.empty()) return std::nullopt;
  uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9') return std::nullopt;
    const auto digit = static_cast<uint64_t>(c - '0');
    value = value > (max_value - digit) / 10 ? max_value : value * 10 + digit;
  }
  return value;
}

bool is_bytes_unit(std::string_view unit) {
  constexpr std::string_view bytes = "bytes";
  return std::equal(unit.begin(), unit.end(), bytes.begin(), bytes.end(),
                    [](char a, char b) { return (a | 0x20) == b; });
}

RangeRequest suffix_range(uint64_t wanted, uint64_t size) {
  const uint64_t length = std::min(wanted, size);
  if (length == 0) return {RangeRequest::Kind::unsatisfiable};
  return {RangeRequest::Kind::part, size - length, length};
}

}  // namespace

RangeRequest parse_range(std::string_view header, uint64_t size) {
  const size_t equals = header.find('=');
  if (equals == std::string_view::npos || !is_bytes_unit(trim(header.substr(0, equals)))) return {};
  const std::string_view range = trim(header.substr(equals + 1));
  const size_t dash = range.find('-');
  if (dash == std::string_view::npos || range.find(',') != std::string_view::npos) return {};
  const std::string_view first_text = trim(range.substr(0, dash));
  const std::string_view last_text = trim(range.substr(dash + 1));
  const auto last = parse_number(last_text);
  if (!last_text.empty() && !last) return {};
  if (first_text.empty()) return last ? suffix_range(*last, size) : RangeRequest{};
  const auto first = parse_number(first_text);
  if (!first) return {};
  if (*first >= size || (last && *last < *first)) return {RangeRequest::Kind::unsatisfiable};
  const uint64_t end = last ? std::min(*last, size - 1) : size - 1;
  return {RangeRequest::Kind::part, *first, end - *first + 1};
}

std::optional<ChunkRange> parse_chunk_range(std::string_view header) {
  std::string_view range = trim(header);
  if (range.size() > 6 && is_bytes_unit(range.substr(0, 5)) && (range[5] == ' ' || range[5] == '=')) {
    range = trim(range.substr(6));
  }
  range = range.substr(0, range.find('/'));
  const size_t dash = range.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto first = parse_number(range.substr(0, dash));
  const auto last = parse_number(range.substr(dash + 1));
  if (!first || !last || *last < *first || *last == max_value) return std::nullopt;
  return ChunkRange{*first, *last};
}

bool etag_matches(std::string_view header, const Digest& digest) {
  const std::string wanted = digest.str();
  while (!header.empty()) {
    const size_t comma = header.find(',');
    std::string_view tag = trim(header.substr(0, comma));
    header = comma == std::string_view::npos ? std::string_view() : header.substr(comma + 1);
    if (tag == "*") return true;
    if (tag.starts_with("W/")) tag.remove_prefix(2);
    if (tag.size() >= 2 && tag.front() == '"' && tag.back() == '"') tag = tag.substr(1, tag.size() - 2);
    if (tag == wanted) return true;
  }
  return false;
}

}  // namespace krakend::registry
