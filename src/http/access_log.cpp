#include "http/access_log.h"

#include <fmt/chrono.h>

#include <ctime>
#include <nlohmann/json.hpp>

namespace krakend::http {
namespace {

std::tm utc(std::chrono::system_clock::time_point at) {
  const std::time_t seconds = std::chrono::system_clock::to_time_t(at);
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  return parts;
}

/// As nginx escapes: quotes, backslashes and what is not printable.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte >= 0x7f || c == '"' || c == '\\')
      out += fmt::format("\\x{:02X}", byte);
    else
      out += c;
  }
  return out;
}

std::string or_dash(std::string_view text) {
  return text.empty() ? "-" : escaped(text);
}

std::string request_line(const Request& request) {
  return fmt::format("{} {} HTTP/1.1", request.method, request.target);
}

}  // namespace

std::string combined_line(const AccessEntry& entry) {
  const Request& request = entry.request;
  return fmt::format("{} - - [{:%d/%b/%Y:%H:%M:%S} +0000] \"{}\" {} {} \"{}\" \"{}\"", request.peer.host,
                     utc(entry.at), escaped(request_line(request)), entry.response.status, entry.body_bytes,
                     or_dash(request.headers.get("Referer")), or_dash(request.headers.get("User-Agent")));
}

std::string json_line(const AccessEntry& entry) {
  const Request& request = entry.request;
  const auto header = [&request](std::string_view name) { return std::string(request.headers.get(name)); };
  const auto answered = [&entry](std::string_view name) {
    return std::string(entry.response.headers.get(name));
  };
  const std::string status = std::to_string(entry.response.status);
  nlohmann::ordered_json line;
  line["verb"] = request.method;
  line["path"] = request.path;
  line["bytes"] = std::to_string(entry.bytes);
  line["request_scheme"] = entry.secured ? "https" : "http";
  line["request_port"] = std::to_string(request.local.port);
  line["request_host"] = header("Host");
  line["clientip"] = request.peer.host;
  line["agent"] = header("User-Agent");
  line["response_redirect_location"] = answered("Location");
  line["response_length"] = std::to_string(entry.bytes);
  line["response_body_length"] = std::to_string(entry.body_bytes);
  line["responseStatusCode"] = status;
  line["responseTime"] = fmt::format("{:.3f}", to_seconds(entry.took));
  line["esStatusCode"] = status;
  line["content_type"] = header("Content-Type");
  line["email"] = header("x-auth-params-email");
  line["uberSource"] = header("x-uber-source");
  line["callsite"] = header("x-uber-callsite");
  line["app"] = header("x-uber-app");
  line["request"] = request_line(request);
  line["@timestamp"] = fmt::format("{:%Y-%m-%dT%H:%M:%S}+00:00", utc(entry.at));
  line["@source_host"] = entry.host;
  line["referer"] = header("Referer");
  line["service_name"] = "kraken";
  line["message"] = "access log";
  line["logtype"] = "access_log";
  line["server_protocol"] = "HTTP/1.1";
  return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace krakend::http
