#include <deque>

#include "krakend/core/trace.h"
#include "krakend/http/client.h"
#include "server_contract.h"

namespace krakend::http::test {
namespace {

using Catch::Matchers::Contains;

std::unique_ptr<Server> real(Stage& stage) {
  return make_server(stage.loop, *stage.clock, *stage.net, Logger());
}

TEST_CASE("server: health is answered where there are too many connections") {
  ServerStage stage(real);
  const Metrics metrics;
  stage.options.metrics = metrics;
  stage.options.max_connections = 1;
  stage.router.add("GET", "/health", say_ok);
  stage.serve(say_ok);
  auto only = stage.connect();
  CHECK(only.send(get("/")).response().status == 200);
  CHECK(stage.ask(get("/")).status == 503);
  auto probe = stage.connect();
  const auto health = probe.send(get("/health")).response();
  CHECK(health.status == 200);
  CHECK(health.headers.get("Connection") == "close");
  CHECK(probe.closed());
  CHECK_THAT(metrics.text(), Contains(R"(krakend_http_limits_total{limit="connections",listener="test"} 2)"));
  CHECK_THAT(metrics.text(), Contains(R"(krakend_http_connections{listener="test"} 1)"));
}

TEST_CASE("server: one address has not all connections") {
  ServerStage stage(real);
  const Metrics metrics;
  stage.options.metrics = metrics;
  stage.options.max_connections_per_address = 2;
  stage.serve(say_ok);
  std::deque<Wire> wires;
  for (int i = 0; i < 2; ++i) {
    wires.push_back(stage.connect());
    CHECK(wires.back().send(get("/")).response().status == 200);
  }
  const auto refused = stage.ask(get("/"));
  CHECK(refused.status == 503);
  CHECK_THAT(refused.body, Contains("of one address"));
  CHECK(refused.headers.get("Retry-After") == "1");
  CHECK_THAT(metrics.text(), Contains(R"({limit="connections_per_address",listener="test"} 1)"));
  wires.pop_back();
  stage.until([&] { return stage.ask(get("/")).status == 200; });
}

TEST_CASE("server: requests at once, new ones before running ones") {
  ServerStage stage(real);
  const Metrics metrics;
  stage.options.metrics = metrics;
  stage.options.max_requests = 4;
  stage.options.running = {"/announce"};
  io::Condition go(stage.loop);
  int waiting = 0;
  stage.router.add("GET", "/wait", [&](Request&) -> Task<Response> {
    ++waiting;
    co_await go.wait();
    co_return text_response(200, "done");
  });
  stage.serve(say_ok);
  std::deque<Wire> wires;
  for (int i = 0; i < 3; ++i) {
    wires.push_back(stage.connect());
    wires.back().send(get("/wait"));
  }
  stage.until([&] { return waiting == 3; });
  auto next = stage.connect();
  const auto shed = next.send(get("/pull")).response();
  CHECK(shed.status == 503);
  CHECK(shed.headers.get("Retry-After") == "1");
  // The connection lives, and what goes on is let in.
  CHECK(next.send(get("/announce")).response().status == 200);
  CHECK_THAT(metrics.text(), Contains(R"(krakend_http_requests_running{listener="test"} 3)"));
  CHECK_THAT(metrics.text(), Contains(R"({limit="requests",listener="test"} 1)"));
  go.notify_all();
  for (Wire& wire : wires) CHECK(wire.response().body == "done");
  CHECK(next.send(get("/pull")).response().status == 200);
}

TEST_CASE("server: uploads at once") {
  ServerStage stage(real);
  stage.options.max_uploads = 1;
  stage.serve(echo);
  const std::string large = "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n";
  auto first = stage.connect();
  first.send(large + std::string(10, 'x'));
  auto second = stage.connect();
  stage.until([&] {
    const auto refused = second.send(large + std::string(100000, 'y')).response();
    if (refused.status == 503) return true;
    return false;
  });
  CHECK(stage.ask("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nok").status == 200);
  CHECK(first.send(std::string(99990, 'x')).response().status == 200);
}

TEST_CASE("server: nothing new begins under too much work; limits change while it runs") {
  ServerStage stage(real);
  const Metrics metrics;
  stage.options.metrics = metrics;
  stage.router.add("GET", "/health", say_ok);
  stage.serve(say_ok);
  stage.server->overload(true);
  CHECK(stage.ask(get("/")).status == 503);
  CHECK(stage.ask(get("/health")).status == 200);
  stage.server->overload(false);
  CHECK(stage.ask(get("/")).status == 200);
  CHECK_THAT(metrics.text(), Contains(R"({limit="overload",listener="test"} 1)"));
  stage.server->configure([](ListenOptions& options) { options.max_head = 100; });
  CHECK(stage.ask(get("/", "X: " + std::string(200, 'x') + "\r\n")).status == 431);
  CHECK_THAT(metrics.text(), Contains(R"({limit="head_bytes",listener="test"} 1)"));
}

TEST_CASE("server: requests are counted by method and status, with the reference's names for statsd") {
  ServerStage stage(real);
  const Metrics metrics = Metrics().role("tracker");
  metrics.keep_timings();
  stage.options.metrics = metrics;
  stage.router.add("GET", "/there", say_ok);
  stage.listen();
  CHECK(metrics.changes().empty());
  CHECK(stage.ask(get("/there")).status == 200);
  CHECK(stage.ask(get("/nowhere")).status == 404);
  CHECK(stage.ask("OPTIONS /nowhere HTTP/1.1\r\nHost: h\r\n\r\n").status == 404);
  CHECK_THAT(
      metrics.text(),
      Contains(R"(krakend_http_requests_total{code="200",listener="test",method="GET",role="tracker"} 1)") &&
          Contains(R"(code="404",listener="test",method="other",role="tracker"} 1)"));
  std::map<std::string, int> names;
  for (const StatsdSample& sample : metrics.changes()) ++names[sample.name + "|" + sample.kind];
  CHECK(names["200|c"] == 1);
  CHECK(names["404|c"] == 2);  // one line a method; statsd adds them up
  CHECK(names["latency|ms"] == 3);
}

TEST_CASE("server: a trace goes from hop to hop, and is over with its request") {
  ServerStage back(real);
  std::vector<std::string> seen;
  back.serve([&](Request& request) -> Task<Response> {
    seen.emplace_back(request.headers.get("traceparent"));
    co_return text_response(200, std::string(request.headers.get("tracestate")));
  });
  const auto front = real(back);
  const auto client = make_client(back.loop, *back.clock, {});
  std::string span;
  Router router;
  router.fallback([&](Request&) -> Task<Response> {
    ClientRequest onward;
    onward.host = back.address;
    onward.target = "/";
    auto answer = co_await client->send(onward);
    span = current_trace() ? current_trace()->span_id : "";
    co_return text_response(200, answer ? answer->body : answer.error().message);
  });
  ListenOptions options;
  options.address = {"127.0.0.1", 0};
  const auto bound = front->listen(options, std::move(router));
  REQUIRE(bound);
  Wire wire(back, *bound);
  const std::string fields =
      "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\ntracestate: "
      "a=1\r\ntracestate: b=2\r\n";
  CHECK(wire.send(get("/", fields)).response().body == "a=1, b=2");
  REQUIRE(seen.size() == 1);
  CHECK(seen[0] == "00-0af7651916cd43dd8448eb211c80319c-" + span + "-01");
  CHECK(span != "b7ad6b7169203331");
  wire.send(get("/")).response();
  CHECK(seen.at(1).empty());
  wire.send(get("/", "traceparent: nonsense\r\n")).response();
  CHECK(seen.at(2).empty());
  back.run(front->stop(0s));
}

}  // namespace
}  // namespace krakend::http::test
