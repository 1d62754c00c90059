#include "http/admission.h"

#include <algorithm>

namespace krakend::http {
namespace {

constexpr std::string_view probes[] = {"/health", "/readiness", "/metrics"};
/// Fresh requests get this share of the places, in quarters: what runs already can always go on.
constexpr size_t fresh_quarters = 3;

size_t most_of(size_t places) {
  return std::max<size_t>(places * fresh_quarters / 4, 1);
}

}  // namespace

RequestClass classify(const Request& request, const ListenOptions& options) {
  if (std::find(std::begin(probes), std::end(probes), request.path) != std::end(probes))
    return RequestClass::probe;
  if (request.method != "GET" && request.method != "HEAD") return RequestClass::running;
  const auto begins = [&](const std::string& prefix) { return request.path.starts_with(prefix); };
  const bool running = std::any_of(options.running.begin(), options.running.end(), begins);
  return running ? RequestClass::running : RequestClass::fresh;
}

std::string_view limit_name(Limit limit) {
  switch (limit) {
    case Limit::connections:
      return "connections";
    case Limit::connections_per_address:
      return "connections_per_address";
    case Limit::requests:
      return "requests";
    case Limit::uploads:
      return "uploads";
    case Limit::overload:
      return "overload";
    case Limit::head_bytes:
      return "head_bytes";
    case Limit::head_timeout:
      return "head_timeout";
    case Limit::idle_timeout:
      return "idle_timeout";
    case Limit::body_timeout:
      return "body_timeout";
    case Limit::answer_timeout:
      return "answer_timeout";
  }
  return "";
}

tl::expected<Admission::Seat, Limit> Admission::enter(RequestClass kind, bool upload, bool crowded) {
  if (kind == RequestClass::probe) return Seat();
  if (crowded) return tl::unexpected(Limit::connections);
  const bool fresh = kind == RequestClass::fresh;
  if (fresh && overload_) return tl::unexpected(Limit::overload);
  if (requests_ >= (fresh ? most_of(limits_.max_requests) : limits_.max_requests))
    return tl::unexpected(Limit::requests);
  if (upload && uploads_ >= limits_.max_uploads) return tl::unexpected(Limit::uploads);
  return Seat(*this, upload);
}

Response overloaded(Limit limit, const ListenOptions& limits) {
  std::string why = "this host has too much to do";
  if (limit == Limit::connections) why = "too many connections";
  if (limit == Limit::connections_per_address) why = "too many connections of one address";
  if (limit == Limit::requests) why = fmt::format("more than {} requests at once", limits.max_requests);
  if (limit == Limit::uploads) why = fmt::format("more than {} uploads at once", limits.max_uploads);
  Response response = text_response(503, why + "; try again\n");
  response.headers.add("Retry-After", "1");
  return response;
}

}  // namespace krakend::http
