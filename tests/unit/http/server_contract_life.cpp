#include <deque>

#include "server_contract.h"

namespace krakend::http::test {

void server_limits_connections(const ServerFactory& make) {
  ServerStage stage(make);
  stage.options.max_connections = 3;
  stage.serve(say_ok);

  std::deque<Wire> wires;
  for (int i = 0; i < 3; ++i) wires.push_back(stage.connect());
  for (auto& wire : wires) CHECK(wire.send(get("/")).response().status == 200);
  auto extra = stage.connect();
  const auto refused = extra.send(get("/")).response();
  CHECK(refused.status == 503);
  CHECK(refused.headers.get("Connection") == "close");
  extra.leave();
  CHECK(wires.back().send(get("/")).response().status == 200);
  wires.back().leave();
  stage.until([&] { return stage.ask(get("/")).status == 200; });
}

void server_answers_in_time(const ServerFactory& make) {
  std::unique_ptr<io::Condition> go;
  std::string brought;
  int ended = 0;
  ServerStage stage(make);
  go = std::make_unique<io::Condition>(stage.loop);
  stage.options.answer_timeouts = {{"/quick", 50ms}, {"/", 10min}};
  stage.router.add("GET", "/quick/*", [&](Request& /*request*/) -> Task<Response> {
    co_await go->wait();
    ++ended;
    co_return text_response(200, "too late");
  });
  stage.router.add("GET", "/patient", [&](Request& /*request*/) -> Task<Response> {
    co_await stage.clock->sleep(200ms);
    co_return text_response(200, "at last");
  });
  stage.router.add("PUT", "/quick", [&](Request& request) -> Task<Response> {
    brought = (co_await request.body->text(1 * MiB)).value_or("");
    co_return text_response(200);
  });
  stage.serve(say_ok);

  SECTION("gets 504, and what the handler comes to is dropped") {
    auto wire = stage.connect();
    const auto late = wire.send(get("/quick/1")).response();
    CHECK(late.status == 504);
    CHECK(late.headers.get("Connection") == "close");
    CHECK(wire.closed());
    CHECK(ended == 0);
    go->notify_all();
    stage.until([&] { return ended == 1; });
    CHECK(stage.ask(get("/")).status == 200);
  }
  SECTION("is waited for where the path may take longer, and the connection goes on") {
    auto wire = stage.connect();
    CHECK(wire.send(get("/patient")).response().body == "at last");
    CHECK(wire.send(get("/patient")).response().body == "at last");
  }
  SECTION("is not late while its body comes in") {
    auto wire = stage.connect();
    wire.send("PUT /quick HTTP/1.1\r\nHost: h\r\nContent-Length: 20\r\n\r\n");
    for (int i = 0; i < 20; ++i) {
      stage.run(stage.clock->sleep(10ms));
      wire.send("x");
    }
    CHECK(wire.response().status == 200);
    CHECK(brought.size() == 20);
  }
}

void server_stops(const ServerFactory& make) {
  std::unique_ptr<io::Condition> go;
  int running = 0;
  ServerStage stage(make);
  go = std::make_unique<io::Condition>(stage.loop);
  stage.router.add("GET", "/wait", [&](Request& /*request*/) -> Task<Response> {
    ++running;
    co_await go->wait();
    co_return text_response(200, "finished");
  });
  stage.serve(say_ok);
  auto idle = stage.connect();
  CHECK(idle.send(get("/")).response().status == 200);
  auto half = stage.connect();
  half.send("GET / HT");
  auto busy = stage.connect();
  busy.send(get("/wait"));
  stage.until([&] { return running == 1; });

  SECTION("a request in progress may finish, idle connections end at once") {
    bool stopped = false;
    io::TaskGroup stopping(stage.loop);
    const std::function<Task<>()> stop = [&]() -> Task<> {
      co_await stage.server->stop(30s);
      stopped = true;
    };
    stopping.spawn(stop(), "stop");
    CHECK(idle.closed());
    CHECK_FALSE(stopped);
    CHECK_FALSE(stage.run(stage.net->connect(stage.address, 1s)));
    half.leave();
    go->notify_all();
    const auto last = busy.response();
    CHECK(last.body == "finished");
    CHECK(last.headers.get("Connection") == "close");
    CHECK(busy.closed());
    stage.until([&] { return stopped; });
    stage.run(stopping.stop());
  }
  SECTION("after the grace everything is cut") {
    stage.run(stage.server->stop(20ms));
    CHECK(busy.closed());
    CHECK(half.closed());
  }
}

}  // namespace krakend::http::test
