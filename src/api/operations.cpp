#include "krakend/api/operations.h"

namespace krakend::api {
namespace {

Task<http::Response> metrics_text(Metrics metrics) {
  http::Response response;
  response.headers.set("Content-Type", "text/plain; version=0.0.4");
  response.body = metrics.text();
  co_return response;
}

Task<http::Response> draining_text() {
  co_return http::text_response(503, "shutting down");
}

}  // namespace

void add_operations(http::Router& router, const Services& services) {
  router.add("GET", "/metrics",
             [metrics = services.metrics](http::Request&) { return metrics_text(metrics); });
  if (Operations* operations = services.operations)
    router.add("POST", "/x/reload", [operations](http::Request&) { return operations->reload(); });
}

http::Handler readiness(const Services& services, http::Handler check) {
  return [operations = services.operations, check = std::move(check)](http::Request& request) {
    return operations != nullptr && operations->draining() ? draining_text() : check(request);
  };
}

}  // namespace krakend::api
