#include "krakend/api/lookup_cache.h"

#include <string>

#include "krakend/api/backoff.h"
#include "krakend/io/parallel.h"
#include "krakend/io/task_group.h"
#include "support/catch.h"
#include "support/fake_clock.h"
#include "support/run.h"
#include "support/seeded_random.h"

using namespace krakend;

namespace {

using Cache = api::LookupCache<std::string, std::string>;

struct Fixture {
  io::Loop loop;
  test::FakeClock clock;
  int fetches = 0;

  Result<std::string> get(Cache& cache, const std::string& key, Result<std::string> answer) {
    Cache::Fetch fetch = [this, answer] { return give(answer); };
    return test::run(loop, cache.get(key, fetch));
  }
  Task<Result<std::string>> give(Result<std::string> answer) {
    ++fetches;
    co_return answer;
  }
};

size_t bytes(const std::string& text) {
  return text.size();
}

}  // namespace

TEST_CASE("answers and failures live for their own time") {
  Fixture f;
  Cache cache(f.loop, f.clock, {10s, 1s});
  CHECK(*f.get(cache, "k", "one") == "one");
  f.clock.advance(9s);
  CHECK(*f.get(cache, "k", "two") == "one");
  f.clock.advance(1s);
  CHECK(f.get(cache, "k", fail(Errc::network, "down")).error().message == "down");
  f.clock.advance(999ms);
  CHECK_FALSE(f.get(cache, "k", "three"));
  f.clock.advance(1ms);
  CHECK(*f.get(cache, "k", "three") == "three");
  CHECK(f.fetches == 3);
}

TEST_CASE("an answer that is forgotten is looked up again, and one on its way is not kept") {
  Fixture f;
  Cache cache(f.loop, f.clock, {10s, 1s});
  f.get(cache, "k", "one");
  f.get(cache, "other", "x");
  cache.forget("k");
  cache.forget("never seen");
  CHECK(cache.size() == 1);
  CHECK(*f.get(cache, "k", "two") == "two");
  Cache::Fetch overtaken = [&]() -> Task<Result<std::string>> {
    cache.forget("k");
    co_return "three";
  };
  cache.forget("k");
  CHECK(*test::run(f.loop, cache.get("k", overtaken)) == "three");
  CHECK(*f.get(cache, "k", "four") == "four");
  cache.clear();
  CHECK(cache.size() == 0);
}

TEST_CASE("with no time to live nothing is kept") {
  Fixture f;
  Cache cache(f.loop, f.clock, {});
  f.get(cache, "k", "one");
  CHECK(*f.get(cache, "k", "two") == "two");
  CHECK(cache.size() == 0);
}

TEST_CASE("the oldest answers go when entries or bytes are too many") {
  Fixture f;
  Cache cache(f.loop, f.clock, {10s, 1s, 3, 10}, bytes);
  for (const char* key : {"a", "b", "c", "d"}) f.get(cache, key, "x");
  CHECK(cache.size() == 3);
  f.fetches = 0;
  f.get(cache, "b", "x");
  CHECK(f.fetches == 0);
  f.get(cache, "a", "x");
  CHECK(f.fetches == 1);
  f.get(cache, "e", "123456789");
  CHECK(cache.cost() <= 10);
  CHECK(*f.get(cache, "huge", std::string(100, 'x')) == std::string(100, 'x'));
  CHECK(cache.cost() <= 10);
  f.get(cache, "f", "y");
  CHECK(cache.size() == 1);
}

TEST_CASE("a cancelled lookup is taken over by one that waits for it") {
  Fixture f;
  Cache cache(f.loop, f.clock, {10s, 1s});
  io::TaskGroup first(f.loop);
  io::TaskGroup second(f.loop);
  io::Condition never(f.loop);
  std::string got;
  const std::function<Task<Result<std::string>>()> stuck = [&]() -> Task<Result<std::string>> {
    ++f.fetches;
    co_await never.wait();
    co_return "never";
  };
  const std::function<Task<Result<std::string>>()> quick = [&]() { return f.give("quick"); };
  const std::function<Task<>(Cache::Fetch)> ask = [&](Cache::Fetch fetch) -> Task<> {
    auto answer = co_await cache.get("k", fetch);
    if (answer) got += *answer;
  };
  first.spawn(ask(stuck), "leader");
  for (int i = 0; i < 5; ++i) f.loop.poll();
  second.spawn(ask(quick), "follower");
  second.spawn(ask(quick), "follower");
  for (int i = 0; i < 5; ++i) f.loop.poll();
  CHECK(f.fetches == 1);
  test::run(f.loop, first.stop());
  while (second.size() > 0) f.loop.poll();
  CHECK(got == "quickquick");
  CHECK(f.fetches == 2);
}

TEST_CASE("parallel work is bounded, all of it is done") {
  io::Loop loop;
  io::TaskGroup tasks(loop);
  size_t running = 0;
  size_t most = 0;
  size_t done = 0;
  io::Condition step(loop);
  const std::function<Task<>(size_t)> work = [&](size_t) -> Task<> {
    most = std::max(most, ++running);
    loop.post([&step] { step.notify_all(); });
    co_await step.wait();
    --running;
    ++done;
  };
  CHECK(test::run(loop, io::run_parallel(loop, tasks, 20, 4, work)));
  CHECK(done == 20);
  CHECK(most == 4);
  CHECK(test::run(loop, io::run_parallel(loop, tasks, 0, 4, work)));
  test::run(loop, tasks.stop());
  CHECK_FALSE(test::run(loop, io::run_parallel(loop, tasks, 3, 4, work)));
}

TEST_CASE("pauses grow to their limit, within the jitter") {
  test::SeededRandom random(14);
  for (unsigned retry = 0; retry < 1000; ++retry) {
    const double pause = to_seconds(api::poll_backoff.pause(retry, random));
    const double ideal = std::min(std::pow(1.3, retry), 5.0);
    CHECK(pause >= ideal * 0.95);
    CHECK(pause <= ideal * 1.05);
  }
}
