#include "roles/origin/leases.h"

#include "krakend/io/task_group.h"
#include "support/catch.h"
#include "support/fake_clock.h"
#include "support/run.h"

namespace krakend::origin {
namespace {

const Digest blob = Digest::of("blob");

struct Stage {
  io::Loop loop{io::LoopOptions{.pool_threads = 0}};
  test::FakeClock clock;
  Leases leases{loop, clock};
  io::TaskGroup tasks{loop};

  void use(const Digest& digest) { test::run(loop, leases.use(digest)); }
  Task<> use_and_note(Digest digest, bool& done) {
    co_await leases.use(digest);
    done = true;
  }
};

std::string refusal(const Result<void>& result) {
  REQUIRE_FALSE(result);
  CHECK(result.error().code == Errc::conflict);
  return result.error().message;
}

TEST_CASE("what was used lately is not frozen") {
  Stage s;
  s.clock.advance(1h);
  s.use(blob);
  s.clock.advance(10min);
  CHECK(refusal(s.leases.freeze(blob, 10min)) == "used 10m ago");
  CHECK_FALSE(s.leases.frozen(blob));
  s.clock.advance(1s);
  CHECK(s.leases.check(blob, 10min));
  CHECK_FALSE(s.leases.frozen(blob));
  CHECK(s.leases.freeze(blob, 10min));
  CHECK(s.leases.frozen(blob));
  CHECK(refusal(s.leases.freeze(blob, 10min)) == "another collection is removing it");
}

TEST_CASE("of the time before the start nothing is known") {
  Stage s;
  s.clock.advance(59min);
  CHECK(refusal(s.leases.freeze(blob, 1h)) == "this origin knows only of the last 59m who used what");
  s.clock.advance(1min);
  CHECK(s.leases.freeze(blob, 1h));
}

TEST_CASE("who wants a frozen blob waits for its release, and then counts as its user") {
  Stage s;
  s.clock.advance(1h);
  REQUIRE(s.leases.freeze(blob, 1min));
  bool done = false;
  s.tasks.spawn(s.use_and_note(blob, done), "use");
  bool other = false;
  s.tasks.spawn(s.use_and_note(Digest::of("other"), other), "use");
  for (int i = 0; i < 10; ++i) s.loop.poll();
  CHECK_FALSE(done);
  CHECK(other);
  s.leases.release(blob);
  for (int i = 0; i < 10; ++i) s.loop.poll();
  CHECK(done);
  refusal(s.leases.freeze(blob, 1min));
}

TEST_CASE("a freeze ends by itself, and is not relied upon shortly before that") {
  Stage s;
  s.clock.advance(1h);
  REQUIRE(s.leases.freeze(blob, 1min));
  s.clock.advance(10s);
  REQUIRE(s.leases.freeze(Digest::of("later"), 1min));
  bool done = false;
  s.tasks.spawn(s.use_and_note(blob, done), "use");
  s.clock.advance(Leases::freeze_time - Leases::freeze_margin - 10s + 1ms);
  CHECK_FALSE(s.leases.frozen(blob));
  CHECK(s.leases.frozen(Digest::of("later")));
  for (int i = 0; i < 10; ++i) s.loop.poll();
  CHECK_FALSE(done);
  s.clock.advance(Leases::freeze_margin);
  for (int i = 0; i < 10; ++i) s.loop.poll();
  CHECK(done);
  s.clock.advance(10s);
  CHECK(s.leases.freeze(Digest::of("later"), 1min));
}

TEST_CASE("too many uses: the older ones are forgotten, and so is what came before them") {
  Stage s;
  s.use(blob);
  for (size_t i = 0; i < Leases::uses_max; ++i) {
    s.clock.advance(1ms);
    s.use(Digest::of(std::to_string(i)));
  }
  const Duration half = 1ms * static_cast<int64_t>(Leases::uses_max / 2);
  CHECK(refusal(s.leases.check(blob, half + 1min)).find("knows only of the last") != std::string::npos);
  CHECK(s.leases.check(blob, half - 10s));
  CHECK(refusal(s.leases.check(Digest::of("199999"), 1s)).find("used") != std::string::npos);
}

}  // namespace
}  // namespace krakend::origin
