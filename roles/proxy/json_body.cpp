#include "roles/proxy/json_body.h"

#include <algorithm>
#include <cctype>
#include <sstream>

namespace krakend::proxy {
namespace {

using Json = nlohmann::json;

bool same_name(std::string_view one, std::string_view other) {
  return std::equal(one.begin(), one.end(), other.begin(), other.end(),
                    [](unsigned char a, unsigned char b) { return std::tolower(a) == std::tolower(b); });
}

bool begins_a_value(char c) {
  return std::string_view("{[\"-tfn0123456789").find(c) != std::string_view::npos;
}

}  // namespace

Result<Json> first_json(const std::string& body) {
  const size_t begin = body.find_first_not_of(" \t\r\n");
  if (begin == std::string::npos) return fail(Errc::invalid_argument, "EOF");
  if (!begins_a_value(body[begin]))
    return fail(Errc::invalid_argument, "invalid character '{}' looking for beginning of value", body[begin]);
  std::istringstream in(body);
  Json value;
  try {
    in >> value;
  } catch (const Json::exception& error) {
    return fail(Errc::invalid_argument, "{}", error.what());
  }
  return value;
}

const Json* json_member(const Json& value, std::string_view name) {
  if (!value.is_object()) return nullptr;
  for (const auto& [key, found] : value.items()) {
    if (same_name(key, name)) return found.is_null() ? nullptr : &found;
  }
  return nullptr;
}

Result<std::string> json_text(const Json& value, std::string_view name) {
  const Json* member = json_member(value, name);
  if (member == nullptr) return std::string();
  if (!member->is_string()) return fail(Errc::invalid_argument, "\"{}\" is no text", name);
  return member->get<std::string>();
}

}  // namespace krakend::proxy
