#include "krakend/core/url.h"

#include "krakend/core/hex.h"

namespace krakend {
namespace {

bool unreserved(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
         c == '.' || c == '~';
}

std::string escape(std::string_view text, std::string_view also_literal) {
  constexpr std::string_view digits = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    if (unreserved(c) || also_literal.find(c) != std::string_view::npos) {
      out += c;
      continue;
    }
    out += '%';
    out += digits[static_cast<uint8_t>(c) >> 4];
    out += digits[static_cast<uint8_t>(c) & 15];
  }
  return out;
}

std::optional<std::string> unescape(std::string_view text, bool plus_is_space) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '+' && plus_is_space) {
      out += ' ';
    } else if (text[i] != '%') {
      out += text[i];
    } else {
      uint8_t byte = 0;
      if (!from_hex(text.substr(i + 1, 2), std::span(&byte, 1))) return std::nullopt;
      out += static_cast<char>(byte);
      i += 2;
    }
  }
  return out;
}

}  // namespace

std::string path_escape(std::string_view segment) {
  return escape(segment, "$&+:=@");
}

std::string query_escape(std::string_view text) {
  return escape(text, ":");
}

std::optional<std::string> path_unescape(std::string_view text) {
  return unescape(text, false);
}

std::optional<std::string> query_unescape(std::string_view text) {
  return unescape(text, true);
}

std::string default_path_encoding(std::string_view decoded) {
  return escape(decoded, "$&+:=@/,;");
}

}  // namespace krakend
