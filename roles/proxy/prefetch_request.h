#pragma once

#include <string>

#include "krakend/core/result.h"
#include "krakend/http/message.h"

namespace krakend::proxy {

/// An image as its tag is written: "<host>/<namespace>/<name>:<tag>".
struct ImageName {
  /// What stands between host and name, and may have slashes itself: with it the origins choose the backend.
  /// (The reference takes the second of three parts, and the first two of more than three for an image.)
  std::string ns;
  std::string name;  ///< "<name>:<tag>"
  /// As the build-index has it.
  std::string full() const { return ns + "/" + name; }
};
/// The error says what is missing.
Result<ImageName> parse_image_name(const std::string& tag);

/// Body of a prefetch: {"tag":…,"trace_id":…} (contract http-api §8.3).
struct PrefetchRequest {
  std::string tag;
  std::string trace_id;  ///< goes into the answer and the log; may be empty
};
Result<PrefetchRequest> parse_prefetch(const std::string& body);

/// 200 with what the reference answers; `name` is "<name>:<tag>".
http::Response prefetch_success(const std::string& name, const std::string& trace_id);
/// 503 has Retry-After.
http::Response prefetch_failure(int status, const std::string& message, const std::string& trace_id);

}  // namespace krakend::proxy
