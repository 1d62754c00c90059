#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "krakend/core/result.h"

namespace krakend::proxy {

/// The first JSON value of a request body, as the reference reads it: what follows is not looked at. The
/// error has the reference's words where no value begins.
Result<nlohmann::json> first_json(const std::string& body);
/// Names match without regard to case. Null where the member is absent or null, or `value` is no object.
const nlohmann::json* json_member(const nlohmann::json& value, std::string_view name);
/// Empty where the member is absent or null; an error that names it where it is no text.
Result<std::string> json_text(const nlohmann::json& value, std::string_view name);

}  // namespace krakend::proxy
