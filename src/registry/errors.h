#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "krakend/core/digest.h"
#include "krakend/core/result.h"
#include "krakend/http/message.h"

namespace krakend::registry {

/// Error codes of the registry API (OCI distribution spec, "Error Codes"; contract http-api §9).
namespace code {
inline constexpr std::string_view name_invalid = "NAME_INVALID";
inline constexpr std::string_view name_unknown = "NAME_UNKNOWN";
inline constexpr std::string_view tag_invalid = "TAG_INVALID";
inline constexpr std::string_view digest_invalid = "DIGEST_INVALID";
inline constexpr std::string_view size_invalid = "SIZE_INVALID";
inline constexpr std::string_view range_invalid = "RANGE_INVALID";
inline constexpr std::string_view manifest_invalid = "MANIFEST_INVALID";
inline constexpr std::string_view manifest_unknown = "MANIFEST_UNKNOWN";
inline constexpr std::string_view manifest_blob_unknown = "MANIFEST_BLOB_UNKNOWN";
inline constexpr std::string_view blob_unknown = "BLOB_UNKNOWN";
inline constexpr std::string_view upload_unknown = "BLOB_UPLOAD_UNKNOWN";
inline constexpr std::string_view upload_invalid = "BLOB_UPLOAD_INVALID";
inline constexpr std::string_view pagination_invalid = "PAGINATION_NUMBER_INVALID";
inline constexpr std::string_view denied = "DENIED";
inline constexpr std::string_view unsupported = "UNSUPPORTED";
inline constexpr std::string_view unavailable = "UNAVAILABLE";
inline constexpr std::string_view unknown = "UNKNOWN";
}  // namespace code

struct ErrorEntry {
  std::string_view code;
  std::string message;
  std::string detail_json = "null";
};

/// Several errors in one answer.
http::Response registry_errors(int status, const std::vector<ErrorEntry>& entries);

/// The answer to a failed Transfer call. `not_found_code` is what its not_found means here. A failure that
/// may pass is 503 with Retry-After, never 429: docker gives the whole pull up on that.
http::Response transfer_error(const Error& error, std::string_view not_found_code,
                              std::string_view detail_json = "null");

/// 405 with Allow.
http::Response method_not_allowed(std::string_view allow, std::string_view message);

/// "404 page not found\n": a path that is none of the registry's.
http::Response page_not_found();

/// JSON string literal; bytes that are not UTF-8 become U+FFFD.
std::string json_quote(std::string_view text);
/// {"<key>":"<value>"}
std::string json_detail(std::string_view key, std::string_view value);

}  // namespace krakend::registry
