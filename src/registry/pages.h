#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "krakend/core/result.h"
#include "krakend/http/message.h"

namespace krakend::registry {

/// Which part of a list a client wants: `n` entries behind `last` (OCI distribution spec, "Listing Tags").
struct PageRequest {
  std::optional<uint64_t> count;
  std::string last;
};
Result<PageRequest> page_request(const http::Request& request);
http::Response bad_page(const Error& error);

/// RFC 8288 link to the page of `count` entries behind `last`. `query` precedes n and last: empty, or
/// "artifactType=…&".
std::string next_link(std::string_view path, std::string_view query, uint64_t count, std::string_view last);

}  // namespace krakend::registry
