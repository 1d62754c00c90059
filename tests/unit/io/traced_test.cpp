#include "krakend/io/traced.h"

#include <asio/co_spawn.hpp>
#include <asio/use_awaitable.hpp>

#include "krakend/io/condition.h"
#include "krakend/io/system.h"
#include "krakend/io/task_group.h"
#include "support/catch.h"
#include "support/run.h"

namespace krakend::test {
namespace {

TracePtr trace_of(std::string_view own) {
  return std::make_shared<const Trace>(
      *Trace::parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "", own));
}

/// Works for `trace` in every way in which a task can wait, and notes where it lost it.
struct Walker {
  io::Loop& loop;
  io::Clock& clock;
  io::Condition& bell;
  TracePtr trace;
  std::vector<std::string> lost;

  void look(const char* where) {
    if (current_trace() != trace) lost.emplace_back(where);
  }
  Task<> inner() {
    look("in a task that is awaited");
    co_await clock.sleep(1ms);
    look("after a sleep");
  }
  Task<> walk() {
    look("at the begin");
    co_await inner();
    look("after a task");
    const bool seen = co_await loop.offload([this] { return current_trace() == trace; });
    if (!seen) lost.emplace_back("on the pool");
    look("after the pool");
    co_await bell.wait();
    look("after a condition");
    const bool rung = co_await bell.wait_for(clock, 1ms);
    look(rung ? "after a bell" : "after a time limit");
  }
};

TEST_CASE("traced: tasks of several traces and of none go on side by side") {
  io::Loop loop;
  const auto clock = io::make_system_clock(loop);
  io::Condition bell(loop);
  io::TaskGroup tasks(loop);
  std::vector<std::unique_ptr<Walker>> walkers;
  for (const TracePtr& trace : {trace_of("a"), TracePtr(), trace_of("b"), TracePtr()}) {
    walkers.push_back(std::make_unique<Walker>(Walker{loop, *clock, bell, trace, {}}));
    const TraceScope scope(trace);
    tasks.spawn(walkers.back()->walk(), "walker");
  }
  CHECK(current_trace() == nullptr);
  while (tasks.size() > 0) {
    bell.notify_all();
    loop.poll();
    CHECK(current_trace() == nullptr);
  }
  for (const auto& walker : walkers) CHECK(walker->lost == std::vector<std::string>{});
}

TEST_CASE("traced: whoever awaits a traced task is not traced itself") {
  io::Loop loop;
  const auto clock = io::make_system_clock(loop);
  io::Condition bell(loop);
  Walker traced{loop, *clock, bell, trace_of("a"), {}};
  Walker plain{loop, *clock, bell, nullptr, {}};
  const auto both = [&]() -> Task<> {
    co_await asio::co_spawn(io::traced(loop, traced.trace), traced.inner(), asio::use_awaitable);
    co_await plain.inner();
  };
  run(loop, both());
  CHECK(traced.lost == std::vector<std::string>{});
  CHECK(plain.lost.size() <= 1);  // until its first wait it may still run inside the other's end
}

TEST_CASE("task group: only an essential task's end is a failure of the process") {
  io::Loop loop;
  std::vector<std::string> failures;
  loop.on_failure([&](const std::string& reason) { failures.push_back(reason); });
  io::TaskGroup tasks(loop);
  const auto fall = []() -> Task<> {
    throw std::runtime_error("broken");
    co_return;
  };
  const auto end = []() -> Task<> { co_return; };
  tasks.spawn(fall(), "request");
  tasks.spawn_essential(end(), "clean");
  tasks.spawn_essential(fall(), "listener");
  while (tasks.size() > 0) loop.poll();
  CHECK(failures == std::vector<std::string>{"listener ended: broken"});
  const auto clock = io::make_system_clock(loop);
  tasks.spawn_essential(clock->sleep(1h), "sleeper");
  loop.poll();
  run(loop, tasks.stop());
  CHECK(failures.size() == 1);
}

}  // namespace
}  // namespace krakend::test
