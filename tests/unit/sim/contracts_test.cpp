#include "sim/stream_client.h"
#include "unit/http/client_contract.h"
#include "unit/io/clock_contract.h"
#include "unit/io/disk_contract.h"
#include "unit/io/net_contract.h"
#include "unit/io/net_end_contract.h"
#include "unit/sim/world.h"

// What runs in virtual time does what the real thing does.

namespace krakend::test {
namespace {

TEST_CASE("sim clock: timers") {
  timer_contract<SimWorld>();
}
TEST_CASE("sim clock: sleep") {
  sleep_contract<SimWorld>();
}

TEST_CASE("sim disk: files") {
  file_contract<SimWorld>();
}
TEST_CASE("sim disk: opening") {
  open_contract<SimWorld>();
}
TEST_CASE("sim disk: names") {
  names_contract<SimWorld>();
}
TEST_CASE("sim disk: helpers") {
  helper_contract<SimWorld>();
}

TEST_CASE("sim net: streams") {
  stream_contract<SimWorld>();
}
TEST_CASE("sim net: readers") {
  reader_contract<SimWorld>();
}
TEST_CASE("sim net: readers of bunches") {
  bunch_contract<SimWorld>();
}
TEST_CASE("sim net: what goes at once") {
  immediate_contract<SimWorld>();
}
TEST_CASE("sim net: receive") {
  receive_contract<SimWorld>();
}
TEST_CASE("sim net: transfers") {
  transfer_contract<SimWorld>();
}
TEST_CASE("sim net: broken transfers") {
  broken_transfer_contract<SimWorld>();
}
TEST_CASE("sim net: trickling senders") {
  trickle_contract<SimWorld>();
}
TEST_CASE("sim net: many streams") {
  crowd_contract<SimWorld>();
}
TEST_CASE("sim net: shutdown and cancellation") {
  shutdown_contract<SimWorld>();
}
TEST_CASE("sim net: listener") {
  listener_contract<SimWorld>();
}
TEST_CASE("end of sim net: listener") {
  listener_end_contract<SimWorld>();
}
TEST_CASE("sim net: connect") {
  connect_contract<SimWorld>();
}

std::unique_ptr<http::Client> over_streams(http::test::Stage& stage, http::ClientOptions options) {
  return std::make_unique<sim::StreamClient>(stage.loop, *stage.clock, *stage.net, options);
}

TEST_CASE("stream client: requests") {
  http::test::client_sends_requests(over_streams);
}
TEST_CASE("stream client: answers") {
  http::test::client_takes_answers(over_streams);
}
TEST_CASE("stream client: failures") {
  http::test::client_reports_failures(over_streams);
}
TEST_CASE("stream client: kept connections") {
  http::test::client_keeps_connections(over_streams);
}
TEST_CASE("stream client: stale connections") {
  http::test::client_survives_stale_connections(over_streams);
}
TEST_CASE("stream client: time limits") {
  http::test::client_limits_time(over_streams);
}
TEST_CASE("stream client: concurrency") {
  http::test::client_limits_concurrency(over_streams);
}
}  // namespace
}  // namespace krakend::test
