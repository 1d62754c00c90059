#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "krakend/http/message.h"

namespace krakend::http {

/// Informational answers, 204 and 304.
bool never_has_body(int status);

/// Status line and headers up to the empty line. Framing belongs to the server: Content-Length comes from the
/// body (or Response::content_length), Connection from `keep_alive`; what a handler has set of these, and
/// fields that would break the head, are left out.
std::string format_head(const Response& response, bool keep_alive);

}  // namespace krakend::http
