#include "registry/errors.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "krakend/registry/registry.h"

namespace krakend::registry {

namespace {

/// Seconds that a client is told to wait after a failure that may pass.
constexpr const char* retry_after_seconds = "1";

bool may_pass(const Error& error) {
  switch (error.code) {
    case Errc::unavailable:
    case Errc::pending:
    case Errc::timeout:
    case Errc::network:
    case Errc::cancelled:
      return true;
    default:
      return false;
  }
}

}  // namespace

std::string json_quote(std::string_view text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string json_detail(std::string_view key, std::string_view value) {
  return fmt::format("{{{}:{}}}", json_quote(key), json_quote(value));
}

http::Response registry_errors(int status, const std::vector<ErrorEntry>& entries) {
  std::string body = "{\"errors\":[";
  for (const ErrorEntry& entry : entries) {
    if (&entry != &entries.front()) body += ',';
    body += fmt::format("{{\"code\":{},\"message\":{},\"detail\":{}}}", json_quote(entry.code),
                        json_quote(entry.message), entry.detail_json);
  }
  body += "]}\n";
  http::Response response;
  response.status = status;
  response.headers.set("Content-Type", "application/json");
  response.body = std::move(body);
  return response;
}

http::Response registry_error(int status, std::string_view code, std::string_view message,
                              std::string_view detail_json) {
  return registry_errors(status, {ErrorEntry{code, std::string(message), std::string(detail_json)}});
}

http::Response transfer_error(const Error& error, std::string_view not_found_code,
                              std::string_view detail_json) {
  if (error.code == Errc::not_found) return registry_error(404, not_found_code, error.message, detail_json);
  if (may_pass(error)) {
    http::Response response = registry_error(503, code::unavailable, error.message, detail_json);
    response.headers.set("Retry-After", retry_after_seconds);
    return response;
  }
  return registry_error(500, code::unknown, error.message, detail_json);
}

http::Response method_not_allowed(std::string_view allow, std::string_view message) {
  http::Response response = registry_error(405, code::unsupported, message);
  response.headers.set("Allow", std::string(allow));
  return response;
}

http::Response page_not_found() {
  http::Response response = http::text_response(404, "404 page not found\n");
  response.headers.set("X-Content-Type-Options", "nosniff");
  return response;
}

}  // namespace krakend::registry
