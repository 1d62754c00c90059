#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace krakend {

/// Escapes one path segment as Go's url.PathEscape does (contract http-api §1.3): literal are A-Z a-z 0-9 and
/// - _ . ~ $ & + : = @ ; everything else becomes %XX with upper-case hex.
std::string path_escape(std::string_view segment);
/// Escapes a query component: query_unescape gives `text` back.
std::string query_escape(std::string_view text);
/// Decodes %XX; '+' stays '+'. nullopt for a broken escape.
std::optional<std::string> path_unescape(std::string_view text);
/// Decodes a query component: as path_unescape, but '+' is a space.
std::optional<std::string> query_unescape(std::string_view text);
/// Re-encodes a decoded path as Go does by default: '/' and the literals above plus , ; stay.
std::string default_path_encoding(std::string_view decoded);

}  // namespace krakend
