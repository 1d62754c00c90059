#include "roles/proxy/prefetch_request.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "roles/proxy/json_body.h"

namespace krakend::proxy {
namespace {

/// Seconds until another attempt is worth it.
constexpr const char* retry_after = "5";

const char* status_text(int status) {
  if (status == 400) return "Bad Request";
  return status == 503 ? "Service Unavailable" : "Internal Server Error";
}

std::string text_of(const nlohmann::ordered_json& document) {
  return document.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

Result<ImageName> parse_image_name(const std::string& tag) {
  const size_t host = tag.find('/');
  const size_t last = tag.rfind('/');
  if (host == last) return fail(Errc::invalid_argument, "invalid tag format: {}", tag);
  ImageName image{tag.substr(host + 1, last - host - 1), tag.substr(last + 1)};
  const auto wrong = [&](const char* what) {
    return fail(Errc::invalid_argument, "{} in {}: write <host>/<namespace>/<name>:<tag>", what, tag);
  };
  if (image.ns.empty() || image.ns.front() == '/' || image.ns.back() == '/' ||
      image.ns.find("//") != std::string::npos)
    return wrong("a part of the repository is empty");
  if (image.name.find('@') != std::string::npos) return wrong("a digest instead of a tag");
  const size_t colon = image.name.find(':');
  if (colon == 0) return wrong("there is no name");
  if (colon == std::string::npos || colon + 1 == image.name.size()) return wrong("there is no tag");
  return image;
}

Result<PrefetchRequest> parse_prefetch(const std::string& body) {
  auto document = first_json(body);
  if (!document) return propagate(document);
  if (!document->is_object() && !document->is_null())
    return fail(Errc::invalid_argument, "the body is no JSON object with \"tag\"");
  auto tag = json_text(*document, "tag");
  if (!tag) return propagate(tag);
  auto trace_id = json_text(*document, "trace_id");
  if (!trace_id) return propagate(trace_id);
  return PrefetchRequest{std::move(*tag), std::move(*trace_id)};
}

http::Response prefetch_success(const std::string& name, const std::string& trace_id) {
  return http::json_response(200, text_of({{"tag", name},
                                           {"prefetched", true},
                                           {"status", "success"},
                                           {"message", "prefetching initiated successfully"},
                                           {"trace_id", trace_id}}));
}

http::Response prefetch_failure(int status, const std::string& message, const std::string& trace_id) {
  nlohmann::ordered_json document{
      {"error", status_text(status)}, {"prefetched", false}, {"status", "failure"}, {"message", message}};
  if (!trace_id.empty()) document["trace_id"] = trace_id;
  http::Response response = http::json_response(status, text_of(document));
  if (status == 503) response.headers.set("Retry-After", retry_after);
  return response;
}

}  // namespace krakend::proxy
