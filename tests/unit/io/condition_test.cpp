#include "krakend/io/condition.h"

#include "unit/io/support.h"

namespace krakend::test {
namespace {

using World = SystemWorld<1>;

struct Waiters {
  explicit Waiters(io::Loop& loop) : condition(loop), group(loop) {}
  io::Condition condition;
  int woken = 0;
  io::TaskGroup group;

  Task<> wait() {
    co_await condition.wait();
    ++woken;
  }
  Task<> wait_again() {
    while (true) {
      co_await condition.wait();
      ++woken;
    }
  }
};

Task<> stop(io::TaskGroup& group) {
  co_await group.stop();
}

/// Nobody stops a group inside its own tasks; everything spawned runs up to its first wait.
void settle(World& world) {
  world.loop.poll();
}

TEST_CASE("condition: notify_all wakes all who wait now, later, once") {
  World world;
  Waiters waiters(world.loop);
  for (int i = 0; i < 3; ++i) waiters.group.spawn(waiters.wait(), "waiter");
  settle(world);
  waiters.condition.notify_all();
  waiters.condition.notify_all();
  CHECK(waiters.woken == 0);  // never inside the call
  settle(world);
  CHECK(waiters.woken == 3);
  CHECK(waiters.group.size() == 0);
}

TEST_CASE("condition: a notification is not remembered") {
  World world;
  Waiters waiters(world.loop);
  waiters.condition.notify_all();
  waiters.group.spawn(waiters.wait(), "waiter");
  settle(world);
  CHECK(waiters.woken == 0);
  world.run(stop(waiters.group));
}

TEST_CASE("condition: who waits again after a wake-up waits for the next one") {
  World world;
  Waiters waiters(world.loop);
  for (int i = 0; i < 2; ++i) waiters.group.spawn(waiters.wait_again(), "waiter");
  settle(world);
  for (int round = 1; round <= 3; ++round) {
    waiters.condition.notify_all();
    settle(world);
    CHECK(waiters.woken == 2 * round);
  }
  world.run(stop(waiters.group));
  CHECK(waiters.woken == 6);
}

TEST_CASE("condition: a stopped waiter is not woken any more") {
  World world;
  Waiters waiters(world.loop);
  waiters.group.spawn(waiters.wait(), "waiter");
  settle(world);
  world.run(stop(waiters.group));
  waiters.condition.notify_all();
  settle(world);
  CHECK(waiters.woken == 0);
  CHECK(waiters.group.size() == 0);
}

TEST_CASE("condition: notified and cancelled in the same turn ends once") {
  World world;
  Waiters waiters(world.loop);
  for (int i = 0; i < 3; ++i) waiters.group.spawn(waiters.wait_again(), "waiter");
  settle(world);
  SECTION("notified first: the wait ends well, the next one not") {
    waiters.condition.notify_all();
    world.run(stop(waiters.group));
    CHECK(waiters.woken == 3);
  }
  SECTION("cancelled first") {
    const auto body = [&]() -> Task<> {
      world.loop.post([&] { waiters.condition.notify_all(); });
      co_await waiters.group.stop();
    };
    world.run(body());
    CHECK(waiters.woken == 0);
  }
  CHECK(waiters.group.size() == 0);
  waiters.condition.notify_all();
}

TEST_CASE("condition: wait_for tells which came first") {
  World world;
  io::Condition condition(world.loop);
  const auto body = [&]() -> Task<> {
    const bool late = co_await condition.wait_for(world.clock(), 5ms);
    CHECK_FALSE(late);
    const auto timer = world.clock().after(1ms, [&] { condition.notify_all(); });
    const bool in_time = co_await condition.wait_for(world.clock(), 30s);
    CHECK(in_time);
    const bool past = co_await condition.wait_for(world.clock(), -1s);
    CHECK_FALSE(past);
  };
  world.run(body());
}

TEST_CASE("condition: the limit of one does not wake the others") {
  World world;
  Waiters waiters(world.loop);
  waiters.group.spawn(waiters.wait_again(), "other");
  const auto body = [&]() -> Task<> {
    const bool in_time = co_await waiters.condition.wait_for(world.clock(), 2ms);
    CHECK_FALSE(in_time);
  };
  world.run(body());
  CHECK(waiters.woken == 0);
  world.run(stop(waiters.group));
}

TEST_CASE("condition: wait_for honours the end of its group") {
  World world;
  io::Condition condition(world.loop);
  io::TaskGroup group(world.loop);
  bool ended_well = false;
  const auto waiting = [&]() -> Task<> {
    co_await condition.wait_for(world.clock(), 1h);
    ended_well = true;
  };
  group.spawn(waiting(), "waiter");
  settle(world);
  world.run(stop(group));
  CHECK_FALSE(ended_well);
}

TEST_CASE("condition: many waiters, notifications, limits and stops at random") {
  World world;
  const uint64_t seed = 20261125;
  INFO("seed " << seed);
  SeededRandom random(seed);
  for (int round = 0; round < 30; ++round) {
    io::Condition condition(world.loop);
    io::TaskGroup group(world.loop);
    int inside = 0;
    const auto waiting = [&]() -> Task<> {
      struct Count {
        int& value;
        explicit Count(int& v) : value(v) { ++value; }
        ~Count() { --value; }
      } count(inside);
      while (true) co_await condition.wait_for(world.clock(), std::chrono::microseconds(random.below(300)));
    };
    for (int i = 0; i < 20; ++i) group.spawn(waiting(), "waiter");
    for (int i = 0; i < 20; ++i) {
      world.loop.poll();
      if (random.below(2) == 0) condition.notify_all();
    }
    if (random.below(2) == 0) condition.notify_all();
    world.run(stop(group));
    REQUIRE(inside == 0);
    REQUIRE(group.size() == 0);
  }
}

}  // namespace
}  // namespace krakend::test
