#include "krakend/api/requests.h"

#include <algorithm>
#include <array>

namespace krakend::api {

std::string param(const http::Request& request, std::string_view name) {
  const auto found = request.params.find(name);
  return found == request.params.end() ? std::string() : found->second;
}

Result<Digest> digest_param(const http::Request& request) {
  auto digest = Digest::parse(param(request, "digest"));
  if (digest) return digest;
  return fail(Error{Errc::invalid_argument, "parse digest: " + digest.error().message, 400});
}

Result<bool> bool_query(const http::Request& request, std::string_view name) {
  static constexpr std::array<std::string_view, 6> yes{"1", "t", "T", "TRUE", "true", "True"};
  static constexpr std::array<std::string_view, 6> no{"0", "f", "F", "FALSE", "false", "False"};
  const std::string value = request.query_param(name).value_or("");
  if (value.empty() || std::find(no.begin(), no.end(), value) != no.end()) return false;
  if (std::find(yes.begin(), yes.end(), value) != yes.end()) return true;
  return fail(Error{Errc::invalid_argument,
                    fmt::format("parse query arg `{}`: \"{}\" is not a boolean", name, value), 500});
}

http::Response ok_response() {
  return http::text_response(200, "OK\n");
}

http::Response error_with_status(int status, const Error& error) {
  return http::text_response(status, error.message);
}

}  // namespace krakend::api
