#include "krakend/api/deletions.h"

#include <set>

#include "krakend/io/condition.h"
#include "krakend/io/task_group.h"
#include "support/catch.h"
#include "support/fake_client.h"
#include "support/fake_clock.h"
#include "support/run.h"
#include "support/seeded_random.h"

namespace krakend::test {
namespace {

using namespace std::chrono;

const Digest one = Digest::of("1"), two = Digest::of("2");

TEST_CASE("a deletion note is named after the day and the digest") {
  const auto at = sys_days(2026y / November / 25d) + 23h + 59min;
  CHECK(api::deletion_note(at, one) == "_krakend/deleted/2026-11-25:" + one.hex());
}

/// Sleeps end when the test says so, so that it sees each reading.
class StepClock final : public io::Clock {
 public:
  explicit StepClock(io::Loop& loop) : wake_(loop) {}
  TimePoint now() const override { return fake_.now(); }
  system_clock::time_point wall() const override { return wall_; }
  io::Timer after(Duration delay, std::function<void()> fn) override {
    return fake_.after(delay, std::move(fn));
  }
  Task<> sleep(Duration delay) override {
    pauses.push_back(delay);
    co_await wake_.wait();
  }
  void step() { wake_.notify_all(); }
  std::vector<Duration> pauses;

 private:
  FakeClock fake_;
  system_clock::time_point wall_ = sys_days(2026y / November / 25d) + 12h;
  io::Condition wake_;
};

TEST_CASE("copies of deleted blobs are dropped once: all at the start, then those of two days") {
  io::Loop loop{io::LoopOptions{.pool_threads = 0}};
  StepClock clock(loop);
  FakeClock http_clock;
  SeededRandom random(1);
  FakeClient http;
  std::set<std::string> notes{api::deletion_note(clock.wall() - days(20), one)};
  http.reply([&notes](const http::ClientRequest& request) {
    const auto prefix = request.target.substr(std::string("/list/").size());
    std::string names;
    for (const auto& note : notes) {
      if (note.starts_with(prefix)) names += (names.empty() ? "\"" : ",\"") + note + "\"";
    }
    return answer(200, "{\"Links\":{\"next\":\"\"},\"result\":[" + names + "]}");
  });
  api::TagClient tags(http, http_clock, random, {"h:1"});
  std::vector<Digest> dropped;
  bool broken = false;
  const auto drop = [&](Digest digest) -> Task<Result<void>> {
    if (broken) co_return fail(Errc::io, "the disk is broken");
    dropped.push_back(digest);
    co_return Result<void>{};
  };
  api::DeletionFeed feed(tags, clock, random, drop, Logger());
  io::TaskGroup tasks(loop);
  const auto settle = [&] {
    for (int i = 0; i < 50; ++i) loop.poll();
  };
  tasks.spawn(feed.run(), "feed");
  settle();
  CHECK(dropped == std::vector<Digest>{one});

  notes.insert(api::deletion_note(clock.wall(), two));
  broken = true;
  clock.step();
  settle();
  CHECK(dropped.size() == 1);
  broken = false;  // what failed is tried again
  for (int i = 0; i < 3; ++i) {
    clock.step();
    settle();
  }
  CHECK(dropped == std::vector<Digest>{one, two});
  for (const Duration pause : clock.pauses) {
    CHECK(pause >= 4min);
    CHECK(pause <= 6min);
  }
  run(loop, tasks.stop());
}

}  // namespace
}  // namespace krakend::test
