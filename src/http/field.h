#pragma once

#include <string_view>

namespace krakend::http {

/// ASCII case only, as field names and list items compare.
bool equal_ignoring_case(std::string_view a, std::string_view b);
/// Without blanks and tabs on both ends.
std::string_view trim(std::string_view text);
/// A field name or method: not empty, no separators, no control characters.
bool is_token(std::string_view text);
/// No control characters but the tab: a line break inside a value would start a field of the sender's choice.
bool is_field_value(std::string_view text);
/// Whether the comma list holds `item`.
bool has_list_item(std::string_view list, std::string_view item);

}  // namespace krakend::http
