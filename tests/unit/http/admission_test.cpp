#include "http/admission.h"
#include "http/access_log.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "support/catch.h"

namespace krakend::http::test {
namespace {

Request asked(std::string method, std::string path) {
  Request request;
  request.method = std::move(method);
  request.path = request.target = std::move(path);
  return request;
}

TEST_CASE("requests: what is probed, goes on, or begins") {
  ListenOptions options;
  options.running = {"/announce"};
  CHECK(classify(asked("GET", "/health"), options) == RequestClass::probe);
  CHECK(classify(asked("GET", "/metrics"), options) == RequestClass::probe);
  CHECK(classify(asked("PATCH", "/v2/a/blobs/uploads/x"), options) == RequestClass::running);
  CHECK(classify(asked("GET", "/announce"), options) == RequestClass::running);
  CHECK(classify(asked("GET", "/v2/a/manifests/b"), options) == RequestClass::fresh);
}

TEST_CASE("requests: what begins leaves room for what runs, and health is always let in") {
  ListenOptions options;
  options.max_requests = 8;
  options.max_uploads = 1;
  const bool overload = false;
  Admission admission(options, overload);
  std::vector<Admission::Seat> seats;
  for (int i = 0; i < 6; ++i) {
    auto seat = admission.enter(RequestClass::fresh, false, false);
    REQUIRE(seat);
    seats.push_back(std::move(*seat));
  }
  CHECK(admission.enter(RequestClass::fresh, false, false).error() == Limit::requests);
  auto upload = admission.enter(RequestClass::running, true, false);
  REQUIRE(upload);
  CHECK(admission.enter(RequestClass::running, true, false).error() == Limit::uploads);
  auto last = admission.enter(RequestClass::running, false, false);
  REQUIRE(last);
  CHECK(admission.requests() == 8);
  CHECK(admission.enter(RequestClass::running, false, false).error() == Limit::requests);
  CHECK(admission.enter(RequestClass::probe, false, true));
  seats.clear();
  CHECK(admission.requests() == 2);
  CHECK(admission.uploads() == 1);
  CHECK(admission.enter(RequestClass::fresh, false, false));
}

TEST_CASE("requests: under too much work nothing new begins") {
  const ListenOptions options;
  bool overload = true;
  Admission admission(options, overload);
  CHECK(admission.enter(RequestClass::fresh, false, false).error() == Limit::overload);
  CHECK(admission.enter(RequestClass::running, false, false));
  CHECK(admission.enter(RequestClass::probe, false, false));
  overload = false;
  CHECK(admission.enter(RequestClass::fresh, false, false));
  const Response refused = overloaded(Limit::overload, options);
  CHECK(refused.status == 503);
  CHECK(refused.headers.get("Retry-After") == "1");
}

struct Logged {
  Logged() {
    request = asked("GET", "/v2/a/blobs/b");
    request.target = "/v2/a/blobs/b?x=\"1\"";
    request.peer = {"10.0.0.9", 4};
    request.local = {"10.0.0.1", 16000};
    request.headers = {{"Host", "registry:16000"}, {"User-Agent", "docker/1 \"x\"\n"}};
    response.status = 206;
    response.headers.add("Location", "/v2/x");
  }
  AccessEntry entry() const {
    return {request, response, 120, 100, 1500ms, std::chrono::system_clock::time_point(1'700'000'000s),
            "node-1"};
  }
  Request request;
  Response response;
};

TEST_CASE("access log: nginx' combined form, and nobody forges a line") {
  const Logged logged;
  CHECK(combined_line(logged.entry()) ==
        R"(10.0.0.9 - - [14/Nov/2023:22:13:20 +0000] "GET /v2/a/blobs/b?x=\x221\x22 HTTP/1.1" 206 100 )"
        R"("-" "docker/1 \x22x\x22\x0A")");
}

TEST_CASE("access log: the JSON that the reference's nginx writes") {
  const Logged logged;
  const auto line = nlohmann::json::parse(json_line(logged.entry()));
  CHECK(line["verb"] == "GET");
  CHECK(line["path"] == "/v2/a/blobs/b");
  CHECK(line["responseStatusCode"] == "206");
  CHECK(line["responseTime"] == "1.500");
  CHECK(line["response_body_length"] == "100");
  CHECK(line["bytes"] == "120");
  CHECK(line["request_port"] == "16000");
  CHECK(line["clientip"] == "10.0.0.9");
  CHECK(line["response_redirect_location"] == "/v2/x");
  CHECK(line["@timestamp"] == "2023-11-14T22:13:20+00:00");
  CHECK(line["@source_host"] == "node-1");
  CHECK(line["service_name"] == "kraken");
}

}  // namespace
}  // namespace krakend::http::test
