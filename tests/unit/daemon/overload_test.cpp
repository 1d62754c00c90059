#include "daemon/overload.h"

#include "krakend/io/system.h"
#include "support/catch.h"

namespace krakend::daemon {
namespace {

TEST_CASE("pulls are turned away while memory is short, and until there is some again") {
  io::Loop loop;
  const auto clock = io::make_system_clock(loop);
  std::vector<bool> told;
  const Metrics metrics;
  OverloadWatch watch({*clock, [&](bool now) { told.push_back(now); }, metrics}, Logger());
  watch.set_memory_max(1000);
  watch.look(0s, 900);
  CHECK(told.empty());
  watch.look(0s, 901);
  watch.look(0s, 850);
  CHECK(told == std::vector<bool>{true});
  watch.look(0s, 800);
  CHECK(told == std::vector<bool>{true, false});
  CHECK_THAT(metrics.text(), Catch::Matchers::Contains("krakend_memory_max_bytes 1000"));
}

TEST_CASE("pulls are turned away while the loop is late") {
  io::Loop loop;
  const auto clock = io::make_system_clock(loop);
  std::vector<bool> told;
  OverloadWatch watch({*clock, [&](bool now) { told.push_back(now); }, Metrics()}, Logger());
  watch.set_memory_max(uint64_t{1} << 60);
  watch.look(OverloadWatch::latest, 1);
  CHECK(told.empty());
  watch.look(OverloadWatch::latest + 1ms, 1);
  watch.look(0s, 1);
  watch.look(OverloadWatch::latest + 1ms, 1);
  CHECK(told.empty());
  watch.look(OverloadWatch::latest + 1ms, 1);
  watch.look(0s, 1);
  CHECK(told == std::vector<bool>{true, false});
}

TEST_CASE("the system tells what this process has") {
  CHECK(io::memory_use() > 1'000'000);
  CHECK(io::open_files() > 2);
  CHECK(io::open_files_max() >= io::open_files());
}

}  // namespace
}  // namespace krakend::daemon
