#pragma once

#include "unit/io/support.h"

// What an implementation of Clock must do. A world has `Loop& loop`, `Clock& clock()` and run().

namespace krakend::test {

template <class World>
void timer_contract() {
  World world;
  std::vector<int> fired;
  const auto record = [&fired](int value) { return [&fired, value] { fired.push_back(value); }; };

  SECTION("timers fire in the order of their time, never inside after()") {
    auto late = world.clock().after(20ms, record(2));
    auto early = world.clock().after(5ms, record(1));
    auto now = world.clock().after(0ms, record(0));
    auto past = world.clock().after(-1s, record(-1));
    CHECK(fired.empty());
    world.run(world.clock().sleep(40ms));
    REQUIRE(fired.size() == 4);
    CHECK(fired[2] == 1);
    CHECK(fired[3] == 2);
  }
  SECTION("a cancelled timer and a destroyed one never fire") {
    auto cancelled = world.clock().after(1ms, record(1));
    { const auto destroyed = world.clock().after(1ms, record(2)); }
    auto replaced = world.clock().after(1ms, record(3));
    replaced = world.clock().after(1ms, record(4));
    cancelled.cancel();
    cancelled.cancel();
    world.run(world.clock().sleep(10ms));
    CHECK(fired == std::vector<int>{4});
  }
  SECTION("a timer that has expired is cancelled by one that fires with it") {
    io::Timer second;
    io::Timer first;
    first = world.clock().after(1ms, [&] {
      fired.push_back(1);
      second.cancel();
    });
    second = world.clock().after(1ms, [&] {
      fired.push_back(2);
      first.cancel();
    });
    world.run(world.clock().sleep(20ms));
    CHECK(fired.size() == 1);
  }
  SECTION("a callback may destroy its own timer and start the next") {
    io::Timer timer;
    timer = world.clock().after(1ms, [&] {
      timer.cancel();
      timer = world.clock().after(1ms, record(2));
      fired.push_back(1);
    });
    world.run(world.clock().sleep(20ms));
    CHECK(fired == std::vector<int>{1, 2});
  }
}

template <class World>
void sleep_contract() {
  World world;
  SECTION("time passes by at least what was slept") {
    const auto before = world.clock().now();
    world.run(world.clock().sleep(5ms));
    CHECK(world.clock().now() - before >= 5ms);
  }
  SECTION("the end of its group ends a sleep") {
    io::TaskGroup group(world.loop);
    group.spawn(world.clock().sleep(1h), "sleeper");
    const auto body = [&]() -> Task<> {
      co_await world.clock().sleep(1ms);
      co_await group.stop();
    };
    world.run(body());
    CHECK(group.size() == 0);
  }
}

}  // namespace krakend::test
