#pragma once

#include <chrono>
#include <string>

#include "krakend/core/time.h"
#include "krakend/http/server.h"

namespace krakend::http {

/// What an access log says of one request.
struct AccessEntry {
  const Request& request;
  const Response& response;
  uint64_t bytes = 0;       ///< of the whole response
  uint64_t body_bytes = 0;  ///< of its body
  Duration took{0};
  std::chrono::system_clock::time_point at;
  std::string host;      ///< of this machine
  bool secured = false;  ///< came over TLS
};

/// nginx' "combined" form.
std::string combined_line(const AccessEntry& entry);
/// The JSON that the reference's nginx writes (contract config-ops §5.6).
std::string json_line(const AccessEntry& entry);

}  // namespace krakend::http
