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
