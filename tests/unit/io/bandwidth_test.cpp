#include "krakend/io/bandwidth.h"

#include "krakend/io/system.h"
#include "krakend/io/task_group.h"
#include "support/catch.h"
#include "support/fake_clock.h"
#include "support/run.h"

namespace krakend::test {
namespace {

using io::Bandwidth;
using io::Traffic;

TEST_CASE("bandwidth: what is moved takes the time that the rate says, whatever the portions") {
  io::Loop loop;
  FakeClock clock;
  Bandwidth bandwidth(clock);
  bandwidth.set_rate(10'000'000);
  const uint64_t portion = GENERATE(1'000, 131'072, 4'000'000);
  const TimePoint start = clock.now();
  const uint64_t count = 20'000'000 / portion;
  for (uint64_t i = 0; i < count; ++i) run(loop, bandwidth.acquire(portion, Traffic::seeding));
  run(loop, bandwidth.acquire(1, Traffic::seeding));
  const double seconds = to_seconds(clock.now() - start);
  CHECK(seconds > static_cast<double>(count * portion) / 10e6 - 0.021);
  CHECK(seconds < static_cast<double>(count * portion) / 10e6 + 0.001);
}

TEST_CASE("bandwidth: what was not used is not saved up") {
  io::Loop loop;
  FakeClock clock;
  Bandwidth bandwidth(clock);
  bandwidth.set_rate(1'000'000);
  clock.advance(1h);
  const TimePoint start = clock.now();
  for (int i = 0; i < 100; ++i) run(loop, bandwidth.acquire(10'000, Traffic::seeding));
  run(loop, bandwidth.acquire(1, Traffic::seeding));
  CHECK(to_seconds(clock.now() - start) > 0.97);
}

/// Takes portions until the time is over.
Task<> take_until(io::Clock& clock, Bandwidth& bandwidth, Traffic traffic, TimePoint end, uint64_t& taken) {
  while (clock.now() < end) {
    co_await bandwidth.acquire(10'000, traffic);
    taken += 10'000;
  }
}

Task<> all_over(io::Clock& clock, const io::TaskGroup& tasks) {
  while (tasks.size() > 0) co_await clock.sleep(1ms);
}

TEST_CASE(
    "bandwidth: what nobody waits for gets its share while a client waits, and all of it before and after") {
  io::Loop loop;
  const auto clock = io::make_system_clock(loop);
  Bandwidth bandwidth(*clock);
  constexpr uint64_t rate = 20'000'000;
  bandwidth.set_rate(rate);
  const double share = Bandwidth::shares[static_cast<size_t>(Traffic::preheat)];
  uint64_t pulled = 0;
  uint64_t preheated = 0;
  io::TaskGroup tasks(loop);
  const auto during = [&](Duration time, bool pulling) {
    pulled = preheated = 0;
    const TimePoint end = clock->now() + time;
    tasks.spawn(take_until(*clock, bandwidth, Traffic::preheat, end, preheated), "preheat");
    // Two that pull, so that one of them is always waiting.
    for (int i = 0; pulling && i < 2; ++i)
      tasks.spawn(take_until(*clock, bandwidth, Traffic::pull, end, pulled), "pull");
    run(loop, all_over(*clock, tasks));
    return time;
  };
  const auto part_of_rate = [](uint64_t bytes, Duration time) {
    return static_cast<double>(bytes) / (static_cast<double>(rate) * to_seconds(time));
  };
  const Duration alone = during(300ms, false);
  CHECK(part_of_rate(preheated, alone) > 0.8);
  const Duration together = during(1s, true);
  CHECK(part_of_rate(preheated, together) < share + 0.1);
  CHECK(preheated > 0);
  CHECK(part_of_rate(pulled + preheated, together) > 0.8);
  run(loop, tasks.stop());
}

TEST_CASE("bandwidth: what the more urgent leave goes to the others at once") {
  io::Loop loop;
  const auto clock = io::make_system_clock(loop);
  Bandwidth bandwidth(*clock);
  constexpr uint64_t rate = 20'000'000;
  bandwidth.set_rate(rate);
  uint64_t copied = 0;
  uint64_t seeded = 0;
  io::TaskGroup tasks(loop);
  const TimePoint end = clock->now() + 1s;
  const auto trickle = [&]() -> Task<> {
    while (clock->now() < end) {
      co_await bandwidth.acquire(10'000, Traffic::seeding);
      seeded += 10'000;
      co_await clock->sleep(10ms);
    }
  };
  tasks.spawn(trickle(), "seeding");
  tasks.spawn(take_until(*clock, bandwidth, Traffic::replication, end, copied), "replication");
  run(loop, all_over(*clock, tasks));
  CHECK(seeded > 300'000);
  CHECK(static_cast<double>(copied) > 0.5 * static_cast<double>(rate));  // its share alone would be a tenth
}

TEST_CASE("bandwidth: who has to wait is counted") {
  io::Loop loop;
  FakeClock clock;
  const Metrics metrics;
  Bandwidth bandwidth(clock, metrics.counter({"waits_total", "Waits"}));
  bandwidth.set_rate(1'000'000);
  for (int i = 0; i < 3; ++i) run(loop, bandwidth.acquire(500'000, Traffic::seeding));
  CHECK_THAT(metrics.text(), Catch::Matchers::Contains("krakend_waits_total 2\n"));
}

TEST_CASE("bandwidth: no limit, no waiting") {
  io::Loop loop;
  FakeClock clock;
  Bandwidth bandwidth(clock);
  CHECK_FALSE(bandwidth.limited());
  for (int i = 0; i < 100; ++i) run(loop, bandwidth.acquire(GiB, Traffic::pull));
  CHECK(clock.pauses.empty());
}

}  // namespace
}  // namespace krakend::test
