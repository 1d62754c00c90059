#include "sim/scenario.h"
#include "support/catch.h"

namespace krakend::test {
namespace {

TEST_CASE("a scenario of one seed is the same twice, and another one of another seed") {
  const sim::Outcome once = sim::run_scenario("crash-restart", 3);
  const sim::Outcome again = sim::run_scenario("crash-restart", 3);
  const sim::Outcome other = sim::run_scenario("crash-restart", 4);
  CHECK(once.trace == again.trace);
  CHECK(once.events == again.events);
  CHECK(once.trace != other.trace);
}

}  // namespace
}  // namespace krakend::test
