#include "roles/origin/ring_health.h"

#include "support/catch.h"
#include "support/fake_client.h"
#include "support/fake_clock.h"
#include "support/run.h"

using namespace krakend;

TEST_CASE("a ring member is unhealthy after 3 failed probes, healthy again after 2 good ones") {
  io::Loop loop;
  test::FakeClock clock;
  test::FakeClient http;
  io::TaskGroup tasks(loop);
  origin::RingHealth health({loop, clock, http, tasks}, {"self:1", "b:1", "c:1"}, "self:1", {}, Logger());
  bool up = true;
  int probes = 0;
  std::vector<bool> seen;
  http.reply([&](const http::ClientRequest& request) -> Result<http::ClientResponse> {
    CHECK(request.target == "/health");
    CHECK(request.total_timeout == 3s);
    if (request.host.host == "c") return test::answer(200, "OK\n");
    // What the probes before this one made of b.
    seen.push_back(health.healthy("b:1"));
    up = ++probes <= 1 || probes > 5;
    if (up) return test::answer(200, "OK\n");
    if (probes % 2 == 0) return test::answer(503);
    return fail(Errc::network, "connection refused");
  });
  CHECK(health.healthy("b:1"));
  tasks.spawn(health.run(), "health");
  while (probes < 8) loop.poll();
  test::run(loop, tasks.stop());
  CHECK(std::vector<bool>(seen.begin(), seen.begin() + 8) ==
        std::vector<bool>{true, true, true, true, false, false, false, true});
  CHECK(health.healthy("c:1"));
  CHECK(health.healthy("self:1"));
  CHECK(clock.pauses.front() == 10s);
}
