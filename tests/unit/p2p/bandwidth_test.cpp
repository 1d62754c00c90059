#include "p2p/bandwidth.h"

#include "support/catch.h"
#include "support/fake_clock.h"
#include "support/run.h"

namespace krakend::test {
namespace {

using p2p::Bandwidth;

TEST_CASE("bandwidth: what is moved takes the time that the rate says, whatever the portions") {
  io::Loop loop;
  FakeClock clock;
  Bandwidth bandwidth(clock);
  bandwidth.set_rate(10'000'000);
  const uint64_t portion = GENERATE(1'000, 131'072, 4'000'000);
  const TimePoint start = clock.now();
  const uint64_t count = 20'000'000 / portion;
  for (uint64_t i = 0; i < count; ++i) run(loop, bandwidth.acquire(portion));
  run(loop, bandwidth.acquire(1));
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
  for (int i = 0; i < 100; ++i) run(loop, bandwidth.acquire(10'000));
  run(loop, bandwidth.acquire(1));
  CHECK(to_seconds(clock.now() - start) > 0.97);
}

TEST_CASE("bandwidth: who has to wait is counted") {
  io::Loop loop;
  FakeClock clock;
  const Metrics metrics;
  Bandwidth bandwidth(clock, metrics.counter({"waits_total", "Waits"}));
  bandwidth.set_rate(1'000'000);
  for (int i = 0; i < 3; ++i) run(loop, bandwidth.acquire(500'000));
  CHECK_THAT(metrics.text(), Catch::Matchers::Contains("krakend_waits_total 2\n"));
}

TEST_CASE("bandwidth: no limit, no waiting") {
  io::Loop loop;
  FakeClock clock;
  Bandwidth bandwidth(clock);
  CHECK_FALSE(bandwidth.limited());
  for (int i = 0; i < 100; ++i) run(loop, bandwidth.acquire(GiB));
  CHECK(clock.pauses.empty());
}

}  // namespace
}  // namespace krakend::test
