#include <algorithm>

#include "krakend/core/url.h"
#include "krakend/http/server.h"

namespace krakend::http {
namespace {

constexpr std::string_view rest_wildcard = "*";

std::vector<std::string> split(std::string_view path) {
  std::vector<std::string> segments;
  if (path.starts_with('/')) path.remove_prefix(1);
  while (true) {
    const auto slash = path.find('/');
    segments.emplace_back(path.substr(0, slash));
    if (slash == std::string_view::npos) return segments;
    path.remove_prefix(slash + 1);
  }
}

bool is_parameter(std::string_view segment) {
  return segment.size() > 2 && segment.front() == '{';
}

std::string parameter_name(std::string_view segment) {
  return std::string(segment.substr(1, segment.size() - 2));
}

using Captures = std::vector<std::pair<std::string, std::string>>;

/// Captures are still as they stand in the path.
std::optional<Captures> match(const std::vector<std::string>& pattern, const std::vector<std::string>& path) {
  Captures captures;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == rest_wildcard) {
      if (i >= path.size()) return std::nullopt;
      std::string rest;
      for (size_t k = i; k < path.size(); ++k) rest += (k > i ? "/" : "") + path[k];
      captures.emplace_back(rest_wildcard, std::move(rest));
      return captures;
    }
    if (i >= path.size()) return std::nullopt;
    if (is_parameter(pattern[i])) {
      // An empty last parameter is another path; an empty one in the middle is a bad value.
      if (path[i].empty() && i + 1 == pattern.size()) return std::nullopt;
      captures.emplace_back(parameter_name(pattern[i]), path[i]);
    } else if (pattern[i] != path[i]) {
      return std::nullopt;
    }
  }
  return pattern.size() == path.size() ? std::optional(std::move(captures)) : std::nullopt;
}

Response page_not_found() {
  auto response = text_response(404, "404 page not found\n");
  response.headers.add("X-Content-Type-Options", "nosniff");
  return response;
}

}  // namespace

Router& Router::add(std::string method, std::string pattern, Handler handler) {
  routes_.push_back({std::move(method), split(pattern), std::move(handler)});
  return *this;
}

Router& Router::fallback(Handler handler) {
  fallback_ = std::move(handler);
  return *this;
}

Task<Response> Router::handle(Request& request) const {
  // Routing happens on the received path only where its escapes say more than the default ones would.
  const auto decoded = path_unescape(request.path);
  if (!decoded) co_return text_response(400, "bad escape in path\n");
  const auto path = split(default_path_encoding(*decoded) == request.path ? *decoded : request.path);
  bool wrong_method = false;
  for (const auto& route : routes_) {
    auto captures = match(route.segments, path);
    if (!captures) continue;
    if (route.method != request.method) {
      wrong_method = true;
      continue;
    }
    for (auto& [name, raw] : *captures) {
      auto value = path_unescape(raw);
      if (!value) co_return text_response(400, fmt::format("bad escape in {}\n", name));
      if (value->empty() && name != rest_wildcard)
        co_return text_response(400, fmt::format("{} is empty\n", name));
      request.params[name] = std::move(*value);
    }
    co_return co_await route.handler(request);
  }
  if (wrong_method && wrong_method_ == WrongMethod::method_not_allowed) co_return text_response(405);
  if (fallback_ && !wrong_method) co_return co_await fallback_(request);
  co_return page_not_found();
}

}  // namespace krakend::http
