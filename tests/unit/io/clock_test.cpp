#include "unit/io/clock_contract.h"

namespace krakend::test {
namespace {

TEST_CASE("system clock: timers") {
  timer_contract<SystemWorld<0>>();
}
TEST_CASE("system clock: sleep") {
  sleep_contract<SystemWorld<0>>();
}

TEST_CASE("system clock: wall time is of this century") {
  SystemWorld<0> world;
  CHECK(world.clock().wall().time_since_epoch() > std::chrono::years(50));
}

}  // namespace
}  // namespace krakend::test
