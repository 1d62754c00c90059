#include "p2p/upload_turns.h"

#include <vector>

#include "krakend/core/units.h"
#include "krakend/io/task_group.h"
#include "support/catch.h"
#include "support/fake_clock.h"
#include "support/run.h"

namespace krakend::test {
namespace {

using p2p::UploadTurns;

struct Line {
  io::Loop loop;
  FakeClock clock;
  p2p::Backlog backlog{loop};
  UploadTurns turns{clock, backlog};
  io::Condition wake{loop};
  TimePoint start = clock.now();
  /// All transfers that may go on at a time, but two.
  std::vector<UploadTurns::Turn> others = take(UploadTurns::at_a_time - 2);

  std::vector<UploadTurns::Turn> take(size_t count) {
    std::vector<UploadTurns::Turn> turns_taken;
    UploadTurns::Place place(turns, start - 1s, wake);
    while (turns_taken.size() < count) turns_taken.push_back(std::move(*place.take()));
    return turns_taken;
  }
};

TEST_CASE("upload turns: a few at a time, the oldest request first") {
  Line line;
  UploadTurns::Place third(line.turns, line.start + 3ms, line.wake);
  UploadTurns::Place second(line.turns, line.start + 2ms, line.wake);
  auto first = std::make_optional<UploadTurns::Place>(line.turns, line.start + 1ms, line.wake);
  CHECK_FALSE(second.take());
  const auto one = first->take();
  REQUIRE(one);
  first.reset();
  auto urgent = std::make_optional<UploadTurns::Place>(line.turns, line.start, line.wake);
  CHECK_FALSE(second.take());
  auto two = urgent->take();
  REQUIRE(two);
  urgent.reset();
  CHECK_FALSE(second.take());
  two.reset();
  CHECK_FALSE(third.take());
  CHECK(second.take());
}

TEST_CASE("upload turns: a transfer that takes long does not hold up others") {
  Line line;
  UploadTurns::Place place(line.turns, line.start, line.wake);
  const auto one = place.take();
  const auto two = place.take();
  REQUIRE((one && two));
  CHECK_FALSE(place.take());
  line.clock.advance(UploadTurns::long_transfer + 1ms);
  CHECK(place.take());
}

TEST_CASE("upload turns: more at a time while the receivers leave much of the link free") {
  Line line;
  TimePoint now = line.start;
  const auto send = [&](int times, uint64_t bytes) {
    for (int i = 0; i < times; ++i) {
      line.clock.advance(10ms);
      line.backlog.asked_for(bytes);
      line.backlog.sent(bytes, line.clock.now());
    }
  };
  send(100, 1 * MiB);  // that is what the link can do
  line.others = line.take(UploadTurns::at_a_time - 2);
  UploadTurns::Place place(line.turns, now, line.wake);
  const auto one = place.take();
  const auto two = place.take();
  REQUIRE((one && two));
  CHECK_FALSE(place.take());
  send(30, 256 * KiB);
  CHECK(place.take());
  std::vector<UploadTurns::Turn> more;
  while (auto turn = place.take()) more.push_back(std::move(*turn));
  CHECK(more.size() == UploadTurns::at_most - UploadTurns::at_a_time);
}

TEST_CASE("upload turns: a piece of a newcomer goes before all others and has more of the link") {
  Line line;
  line.others.clear();
  UploadTurns::Place usual(line.turns, line.start, line.wake);
  auto first = std::make_optional<UploadTurns::Place>(line.turns, UploadTurns::newcomer, line.wake);
  CHECK_FALSE(usual.take());
  auto to_newcomer = first->take();
  REQUIRE(to_newcomer);
  first.reset();
  const auto one = usual.take();
  const auto two = usual.take();
  REQUIRE((one && two));
  CHECK_FALSE(usual.take());
  CHECK(line.turns.running() == 3);
  to_newcomer.reset();
  std::vector<UploadTurns::Turn> others;
  while (auto turn = usual.take()) others.push_back(std::move(*turn));
  CHECK(others.size() == UploadTurns::newcomer_counts);
}

TEST_CASE("upload turns: whoever is next is woken, by the end of a transfer or of a place before it") {
  Line line;
  int woken = 0;
  const auto wait = [&]() -> Task<> {
    co_await line.wake.wait();
    ++woken;
  };
  UploadTurns::Place place(line.turns, line.start + 1ms, line.wake);
  io::Condition nobody{line.loop};
  auto before = std::make_optional<UploadTurns::Place>(line.turns, line.start, nobody);
  auto one = before->take();
  auto two = before->take();
  run(line.loop, [&]() -> Task<> {
    io::TaskGroup group(line.loop);
    group.spawn(wait(), "waiting");
    before.reset();
    for (int i = 0; i < 3; ++i) co_await line.loop.offload([] {});
    CHECK(woken == 0);
    one.reset();
    for (int i = 0; i < 3; ++i) co_await line.loop.offload([] {});
    CHECK(woken == 1);
    co_await group.stop();
  }());
}

}  // namespace
}  // namespace krakend::test
