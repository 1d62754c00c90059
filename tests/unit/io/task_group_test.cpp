#include "krakend/io/task_group.h"

#include <future>
#include <stdexcept>

#include "unit/io/support.h"

namespace krakend::test {
namespace {

using World = SystemWorld<1>;

Task<> stop(io::TaskGroup& group) {
  co_await group.stop();
}

Task<> throws(std::string text) {
  if (!text.empty()) throw std::runtime_error(text);
  throw 42;
  co_return;
}

/// A logger that writes to a file, and what it wrote.
struct LogFile {
  explicit LogFile(World& w) : world(w), path(w.directory() + "/log") {
    LogOptions options;
    options.outputs = {path};
    log = Logger::create(options, "test");
  }
  std::string text() { return take(io::read_file(world.disk(), path, 1 << 20)); }
  World& world;
  std::string path;
  Logger log;
};

TEST_CASE("task group: a task starts later and is counted until it ends") {
  World world;
  io::TaskGroup group(world.loop);
  bool ran = false;
  const auto body = [&]() -> Task<> {
    ran = true;
    co_return;
  };
  const auto spawning = [&]() -> Task<> {
    group.spawn(body(), "task");
    CHECK_FALSE(ran);
    CHECK(group.size() == 1);
    co_return;
  };
  world.run(spawning());
  while (group.size() > 0) world.loop.poll();
  CHECK(ran);
}

TEST_CASE("task group: exceptions are logged with the task's name") {
  World world;
  LogFile file(world);
  io::TaskGroup group(world.loop, file.log);
  group.spawn(throws("it broke"), "first");
  group.spawn(throws(""), "second");
  while (group.size() > 0) world.loop.poll();
  const auto text = file.text();
  CHECK(text.find("\"first\" ended by an exception: it broke") != std::string::npos);
  CHECK(text.find("\"second\"") != std::string::npos);
}

TEST_CASE("task group: stop ends waiting tasks silently and drops new ones") {
  World world;
  LogFile file(world);
  io::TaskGroup group(world.loop, file.log);
  for (int i = 0; i < 5; ++i) group.spawn(world.clock().sleep(1h), "sleeper");
  world.loop.poll();
  CHECK(group.size() == 5);
  CHECK_FALSE(group.stopping());
  world.run(stop(group));
  CHECK(group.stopping());
  CHECK(group.size() == 0);
  group.spawn(throws("never"), "late");
  CHECK(group.size() == 0);
  world.run(stop(group));
  CHECK(file.text().empty());
}

TEST_CASE("task group: a task that was spawned and not started is dropped by stop") {
  World world;
  io::TaskGroup group(world.loop);
  bool ran = false;
  const auto body = [&]() -> Task<> {
    ran = true;
    co_return;
  };
  const auto stopping = [&]() -> Task<> {
    group.spawn(body(), "task");
    co_await group.stop();
  };
  world.run(stopping());
  CHECK_FALSE(ran);
}

TEST_CASE("task group: stop waits for work on the pool, the task ends at its next wait") {
  World world;
  io::TaskGroup group(world.loop);
  std::promise<void> started;
  std::promise<void> release;
  bool worked = false;
  bool went_on = false;
  bool waited = false;
  const auto body = [&]() -> Task<> {
    std::string frame = "lives until the work is done";
    co_await world.loop.offload([&] {
      started.set_value();
      release.get_future().wait();
      frame += '.';
      worked = true;
    });
    went_on = true;
    co_await world.clock().sleep(1h);
    waited = true;
  };
  group.spawn(body(), "worker");
  world.loop.poll();
  started.get_future().wait();
  const auto stopping = [&]() -> Task<> {
    const auto timer = world.clock().after(2ms, [&] { release.set_value(); });
    co_await group.stop();
    CHECK(worked);
  };
  world.run(stopping());
  CHECK(group.size() == 0);
  CHECK_FALSE(waited);
  static_cast<void>(went_on);  // offload itself may be the place where the cancellation comes out
}

TEST_CASE("task group: two who stop it both wait until the end") {
  World world;
  io::TaskGroup group(world.loop);
  group.spawn(world.clock().sleep(1h), "sleeper");
  world.loop.poll();
  world.run(both(world.loop, stop(group), stop(group)));
  CHECK(group.size() == 0);
}

TEST_CASE("task group: a task's own cancellation outside a stop is told") {
  World world;
  LogFile file(world);
  io::TaskGroup inner(world.loop);
  io::TaskGroup group(world.loop, file.log);
  const auto body = []() -> Task<> {
    throw asio::system_error(asio::error::operation_aborted);
    co_return;
  };
  group.spawn(body(), "aborted");
  while (group.size() > 0) world.loop.poll();
  CHECK(file.text().find("\"aborted\"") != std::string::npos);
}

}  // namespace
}  // namespace krakend::test
