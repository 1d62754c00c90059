#include "http/response_head.h"

#include <array>
#include <optional>
#include <utility>

#include "http/field.h"

namespace krakend::http {
namespace {

constexpr std::array<std::pair<int, std::string_view>, 26> reasons{{
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {206, "Partial Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {304, "Not Modified"},
    {307, "Temporary Redirect"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {408, "Request Timeout"},
    {409, "Conflict"},
    {413, "Request Entity Too Large"},
    {414, "Request URI Too Long"},
    {416, "Requested Range Not Satisfiable"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {502, "Bad Gateway"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
}};

std::string_view reason(int status) {
  for (const auto& [code, text] : reasons) {
    if (code == status) return text;
  }
  return "Unnamed";
}

/// nullopt: no Content-Length at all.
std::optional<uint64_t> announced_length(const Response& response) {
  // A 304 would announce the length of the body it does not repeat, which only the handler knows.
  if (response.status == 304) return response.content_length;
  if (never_has_body(response.status)) return std::nullopt;
  if (const auto* text = std::get_if<std::string>(&response.body)) return text->size();
  if (const auto* range = std::get_if<ContentRange>(&response.body)) return range->length;
  return response.content_length.value_or(0);
}

bool is_framing(std::string_view name) {
  return equal_ignoring_case(name, "Content-Length") || equal_ignoring_case(name, "Connection") ||
         equal_ignoring_case(name, "Transfer-Encoding");
}

}  // namespace

bool never_has_body(int status) {
  return status == 204 || status == 304 || (status >= 100 && status < 200);
}

std::string format_head(const Response& response, bool keep_alive) {
  std::string head = fmt::format("HTTP/1.1 {} {}\r\n", response.status, reason(response.status));
  for (const auto& [name, value] : response.headers.fields()) {
    if (is_framing(name) || !is_token(name) || !is_field_value(value)) continue;
    head.append(name).append(": ").append(value).append("\r\n");
  }
  if (const auto length = announced_length(response)) head += fmt::format("Content-Length: {}\r\n", *length);
  head += keep_alive ? "Connection: keep-alive\r\n\r\n" : "Connection: close\r\n\r\n";
  return head;
}

}  // namespace krakend::http
