#include <atomic>
#include <future>
#include <set>
#include <thread>

#include "krakend/io/workers.h"
#include "unit/io/support.h"

namespace krakend::test {
namespace {

TEST_CASE("loop: what is posted runs later, in order, on the loop thread") {
  io::Loop loop;
  std::vector<int> ran;
  bool on_loop = true;
  loop.post([&] {
    loop.post([&] { ran.push_back(3); });
    ran.push_back(1);
    on_loop = on_loop && loop.on_loop_thread();
  });
  loop.post([&] { ran.push_back(2); });
  CHECK(ran.empty());
  loop.poll();
  CHECK(ran == std::vector<int>{1, 2, 3});
  CHECK(on_loop);
  CHECK(loop.on_loop_thread());
  std::thread([&] { CHECK_FALSE(loop.on_loop_thread()); }).join();
}

TEST_CASE("loop: poll comes back although work begets work") {
  io::Loop loop;
  int ran = 0;
  std::function<void()> again = [&] {
    ++ran;
    loop.post(again);
  };
  loop.post(again);
  loop.poll();
  CHECK(ran > 0);
}

TEST_CASE("loop: run ends by stop() from another thread, and runs again") {
  io::Loop loop;
  for (int round = 0; round < 2; ++round) {
    std::promise<void> running;
    loop.post([&] { running.set_value(); });
    std::thread stopper([&] {
      running.get_future().wait();
      loop.stop();
    });
    loop.run();
    stopper.join();
  }
  SUCCEED();
}

TEST_CASE("loop: offload runs elsewhere and comes back with the value") {
  const unsigned threads = GENERATE(0U, 1U, 3U);
  io::Loop loop(io::LoopOptions{threads});
  const auto body = [&]() -> Task<> {
    const auto loop_thread = std::this_thread::get_id();
    const auto thread = co_await loop.offload([] { return std::this_thread::get_id(); });
    CHECK((thread == loop_thread) == (threads == 0));
    CHECK(loop.on_loop_thread());
    bool ran = false;
    co_await loop.offload([&] { ran = true; });
    CHECK(ran);
    // A value that can only be moved, and one that has no default.
    const auto pointer = co_await loop.offload([] { return std::make_unique<int>(7); });
    CHECK(*pointer == 7);
    const auto result = co_await loop.offload([] { return Result<std::string>(fail(Errc::io, "x")); });
    CHECK(code_of(result) == Errc::io);
  };
  run(loop, body());
}

TEST_CASE("loop: offload_to uses the given threads") {
  io::Loop loop;
  io::Workers workers(1);
  const auto body = [&]() -> Task<> {
    const auto one = co_await loop.offload_to(workers, [] { return std::this_thread::get_id(); });
    const auto two = co_await loop.offload_to(workers, [] { return std::this_thread::get_id(); });
    const auto pool = co_await loop.offload([] { return std::this_thread::get_id(); });
    CHECK(one == two);
    CHECK(one != pool);
  };
  run(loop, body());
}

TEST_CASE("workers: jobs run side by side, on no more threads than allowed, and all of them") {
  constexpr int jobs = 200;
  constexpr unsigned max_threads = 3;
  std::mutex mutex;
  std::set<std::thread::id> threads;
  std::atomic<int> ran = 0;
  {
    io::Workers workers(max_threads);
    // As many jobs as threads that all wait for each other: they end only when they run at the same time.
    std::atomic<unsigned> met = 0;
    std::promise<void> all_met;
    auto meeting = all_met.get_future().share();
    for (unsigned i = 0; i < max_threads; ++i) {
      workers.submit([&, meeting] {
        if (++met == max_threads) all_met.set_value();
        meeting.wait();
      });
    }
    meeting.wait();
    for (int i = 0; i < jobs; ++i) {
      workers.submit([&] {
        const std::lock_guard lock(mutex);
        threads.insert(std::this_thread::get_id());
        ++ran;
      });
    }
  }
  CHECK(ran == jobs);
  CHECK(threads.size() <= max_threads);
}

TEST_CASE("workers: a quiet one has one thread, reused") {
  io::Workers workers(4);
  std::set<std::thread::id> threads;
  for (int i = 0; i < 20; ++i) {
    std::promise<std::thread::id> ran;
    workers.submit([&] { ran.set_value(std::this_thread::get_id()); });
    threads.insert(ran.get_future().get());
    // The job has run before its thread is idle again.
    while (workers.idle() == 0) std::this_thread::yield();
  }
  CHECK(threads.size() == 1);
}

}  // namespace
}  // namespace krakend::test
