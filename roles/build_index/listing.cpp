#include "roles/build_index/listing.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <string_view>

#include "krakend/core/url.h"

namespace krakend::build_index {
namespace {

/// Entries of a page when only `offset` is given.
constexpr int64_t default_limit = 250;

tl::unexpected<Error> bad_query(std::string message) {
  return fail(Error{Errc::invalid_argument, std::move(message), 400});
}

/// A JSON string as the reference writes it: with <, > and & escaped too.
std::string json_string(std::string_view text) {
  const std::string plain =
      nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  std::string out;
  for (const char c : plain) {
    if (c == '<' || c == '>' || c == '&') {
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace

Result<Paging> parse_paging(const std::string& query) {
  Paging paging;
  bool has_offset = false;
  std::string_view rest = query;
  while (!rest.empty()) {
    const size_t end = rest.find('&');
    const std::string_view pair = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    if (pair.empty()) continue;
    const size_t equals = pair.find('=');
    const std::string name(pair.substr(0, equals));
    const auto value =
        query_unescape(equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1));
    if (!value) return bad_query("invalid escape in query " + name);
    if (name == "limit" && !paging.limit) {
      int64_t limit = 0;
      const auto [stop, error] = std::from_chars(value->data(), value->data() + value->size(), limit);
      if (error != std::errc() || stop != value->data() + value->size() || limit <= 0)
        return bad_query("invalid limit " + *value);
      paging.limit = limit;
    } else if (name == "offset" && !has_offset) {
      has_offset = true;
      paging.offset = *value;
    } else {
      return bad_query("invalid query " + name);
    }
    paging.paged = true;
  }
  return paging;
}

Page take_page(const std::vector<std::string>& names, const Paging& paging) {
  if (!paging.paged) return {names, ""};
  const auto begin =
      paging.offset.empty() ? names.begin() : std::upper_bound(names.begin(), names.end(), paging.offset);
  const int64_t count = std::min<int64_t>(paging.limit.value_or(default_limit), names.end() - begin);
  Page page;
  page.names.assign(begin, begin + count);
  if (begin + count != names.end()) page.next = page.names.back();
  return page;
}

std::vector<std::string> tags_of(const std::vector<std::string>& names) {
  std::vector<std::string> tags;
  for (const std::string& name : names) {
    const size_t colon = name.find(':');
    if (colon == std::string::npos || name.find(':', colon + 1) != std::string::npos) continue;
    tags.push_back(name.substr(colon + 1));
  }
  return tags;
}

std::string list_response_json(const std::string& target, const std::string& path, const Paging& paging,
                               const std::vector<std::string>& names, const std::string& next) {
  std::string link;
  if (!next.empty()) {
    link = path + "?";
    if (paging.limit) link += fmt::format("limit={}&", *paging.limit);
    link += "offset=" + query_escape(next);
  }
  std::string result = "null";
  if (!names.empty()) {
    result = "[";
    for (const std::string& name : names) {
      if (result.size() > 1) result += ',';
      result += json_string(name);
    }
    result += ']';
  }
  return fmt::format("{{\"Links\":{{\"next\":{},\"self\":{}}},\"size\":{},\"result\":{}}}\n",
                     json_string(link), json_string(target), names.size(), result);
}

}  // namespace krakend::build_index
