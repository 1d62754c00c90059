#include "roles/origin/ranges.h"

#include <algorithm>
#include <charconv>

namespace krakend::origin {
namespace {

std::optional<uint64_t> parse_number(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

tl::unexpected<Error> bad_range(std::string message) {
  return fail(Error{Errc::invalid_argument, std::move(message), 400});
}

}  // namespace

Result<ByteRange> parse_content_range(std::string_view header) {
  if (header.empty()) return bad_range("no Content-Range header");
  const size_t dash = header.find('-');
  if (dash == std::string_view::npos)
    return bad_range(
        fmt::format("cannot parse Content-Range header \"{}\": expected format \"start-end\"", header));
  const auto start = parse_number(header.substr(0, dash));
  const auto stop = parse_number(header.substr(dash + 1));
  if (!start || !stop || *stop < *start)
    return bad_range(
        fmt::format("cannot parse Content-Range header \"{}\": expected two numbers, start and the "
                    "exclusive end",
                    header));
  return ByteRange{*start, *stop};
}

Result<std::optional<ByteRange>> parse_range(std::string_view header, uint64_t size) {
  constexpr std::string_view unit = "bytes=";
  if (!header.starts_with(unit) || header.find(',') != std::string_view::npos) return std::nullopt;
  const std::string_view range = header.substr(unit.size());
  const size_t dash = range.find('-');
  if (dash == std::string_view::npos) return std::nullopt;
  const auto first = parse_number(range.substr(0, dash));
  const auto last = parse_number(range.substr(dash + 1));
  const auto unsatisfiable = [&] {
    return fail(Error{Errc::too_large, fmt::format("range \"{}\" of a blob of {} bytes", header, size), 416});
  };
  if (dash == 0) {  // the last n bytes
    if (!last) return std::nullopt;
    if (*last == 0 || size == 0) return unsatisfiable();
    return ByteRange{size - std::min(*last, size), size};
  }
  if (!first || (!last && dash + 1 != range.size()) || (last && *last < *first)) return std::nullopt;
  if (*first >= size) return unsatisfiable();
  const uint64_t stop = last && *last < size ? *last + 1 : size;
  return ByteRange{*first, stop};
}

}  // namespace krakend::origin
