#include "krakend/http/message.h"

#include <algorithm>

#include "http/field.h"
#include "krakend/core/url.h"

namespace krakend::http {
void Headers::add(std::string name, std::string value) {
  fields_.emplace_back(std::move(name), std::move(value));
}

void Headers::set(std::string_view name, std::string value) {
  std::erase_if(fields_, [name](const auto& field) { return equal_ignoring_case(field.first, name); });
  fields_.emplace_back(name, std::move(value));
}

std::string_view Headers::get(std::string_view name) const {
  for (const auto& [key, value] : fields_) {
    if (equal_ignoring_case(key, name)) return value;
  }
  return {};
}

bool Headers::has(std::string_view name) const {
  return std::any_of(fields_.begin(), fields_.end(),
                     [name](const auto& field) { return equal_ignoring_case(field.first, name); });
}

std::string Headers::joined(std::string_view name) const {
  std::string list;
  for (const auto& [key, value] : fields_) {
    if (!equal_ignoring_case(key, name)) continue;
    if (!list.empty()) list += ", ";
    list += value;
  }
  return list;
}

Task<Result<std::string>> RequestBody::text(uint64_t limit) {
  io::TextSink sink(limit);
  auto read = co_await read_to(sink, limit);
  if (!read) co_return propagate(read);
  co_return std::move(sink.text);
}

std::optional<std::string> Request::query_param(std::string_view name) const {
  std::string_view rest = query;
  while (!rest.empty()) {
    const auto pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
    const auto equals = std::min(pair.find('='), pair.size());
    if (query_unescape(pair.substr(0, equals)) != name) continue;
    return query_unescape(pair.substr(std::min(pair.size(), equals + 1)));
  }
  return std::nullopt;
}

Response text_response(int status, std::string text) {
  Response response;
  response.status = status;
  if (text.empty()) return response;
  response.headers.add("Content-Type", "text/plain; charset=utf-8");
  response.body = std::move(text);
  return response;
}

Response json_response(int status, std::string json) {
  Response response;
  response.status = status;
  response.headers.add("Content-Type", "application/json");
  response.body = std::move(json);
  return response;
}

int status_for(const Error& error) {
  if (error.http_status != 0) return error.http_status;
  switch (error.code) {
    case Errc::not_found:
      return 404;
    case Errc::invalid_argument:
      return 400;
    case Errc::already_exists:
    case Errc::conflict:
      return 409;
    case Errc::pending:
      return 202;
    case Errc::unavailable:
      return 503;
    case Errc::too_large:
      return 413;
    case Errc::timeout:
      return 504;
    default:
      return 500;
  }
}

Response error_response(const Error& error) {
  return text_response(status_for(error), error.message + "\n");
}

}  // namespace krakend::http
