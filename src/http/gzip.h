#pragma once

#include <string>
#include <string_view>

#include "krakend/http/message.h"

namespace krakend::http {

/// What nginx would compress for this client (contract http-api §10.1).
bool worth_compressing(const Request& request, const Response& response);
/// Computes: pool.
Result<std::string> gzip(std::string_view text);

}  // namespace krakend::http
