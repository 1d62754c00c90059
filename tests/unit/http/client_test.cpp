#include "client_contract.h"

namespace krakend::http::test {
namespace {

std::unique_ptr<Client> real(Stage& stage, ClientOptions options) {
  return make_client(stage.loop, *stage.clock, options);
}

}  // namespace

TEST_CASE("client: requests") {
  client_sends_requests(real);
}
TEST_CASE("client: answers") {
  client_takes_answers(real);
}
TEST_CASE("client: failures") {
  client_reports_failures(real);
}
TEST_CASE("client: kept connections") {
  client_keeps_connections(real);
}
TEST_CASE("client: stale connections") {
  client_survives_stale_connections(real);
}
TEST_CASE("client: time limits") {
  client_limits_time(real);
}
TEST_CASE("client: concurrency") {
  client_limits_concurrency(real);
}
TEST_CASE("client: a stopped task") {
  client_ends_with_its_task(real);
}

TEST_CASE("client: an unexpected status as an error") {
  ClientRequest request;
  request.host = {"h", 80};
  request.target = "/a";
  const auto error = status_error(request, {503, {}, "no room\nsecond line"});
  CHECK(error.http_status == 503);
  CHECK(error.message == "GET h:80/a: 503: no room");
  CHECK(status_error(request, {404, {}, ""}).message == "GET h:80/a: 404");
}

}  // namespace krakend::http::test
