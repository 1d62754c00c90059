#include "io/readiness.h"

#include <sys/socket.h>
#include <unistd.h>

#include "unit/io/support.h"

namespace krakend::test {
namespace {

struct Pair {
  explicit Pair(io::Loop& loop) {
    int fds[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    here = io::Descriptor(fds[0]);
    there = io::Descriptor(fds[1]);
    watch.emplace(loop, here.get());
    REQUIRE(watch->failed() == 0);
  }
  void send() const { REQUIRE(::write(there.get(), "x", 1) == 1); }
  /// Every byte that fits, so that the socket is not ready for writing.
  void fill() const {
    char block[4096] = {};
    while (::write(here.get(), block, sizeof block) > 0) {
    }
  }

  io::Descriptor here;
  io::Descriptor there;
  std::optional<io::SocketWatch> watch;
};

/// Counts the waits that have ended.
Task<> wait(io::SocketWatch& watch, io::Direction direction, int& ended) {
  co_await watch.wait(direction);
  ++ended;
}

void settle(io::Loop& loop) {
  while (loop.poll() > 0) {
  }
}

}  // namespace

TEST_CASE("readiness: the loop is not woken while nobody waits") {
  io::Loop loop;
  Pair pair(loop);
  settle(loop);
  pair.send();
  CHECK(loop.poll() == 0);

  run(loop, pair.watch->wait(io::Direction::read));
  settle(loop);
  pair.send();
  pair.send();
  CHECK(loop.poll() == 0);
}

TEST_CASE("readiness: what was there before the wait ends it, as often as it is asked") {
  io::Loop loop;
  Pair pair(loop);
  pair.send();
  for (int i = 0; i < 3; ++i) run(loop, pair.watch->wait(io::Direction::read));
}

TEST_CASE("readiness: the directions are waited for apart") {
  io::Loop loop;
  Pair pair(loop);
  pair.fill();
  int readable = 0;
  int writable = 0;
  io::TaskGroup tasks(loop);
  tasks.spawn(wait(*pair.watch, io::Direction::read, readable), "wait");
  tasks.spawn(wait(*pair.watch, io::Direction::write, writable), "wait");
  settle(loop);
  CHECK(readable + writable == 0);

  pair.send();
  settle(loop);
  CHECK(readable == 1);
  CHECK(writable == 0);

  pair.there = io::Descriptor();  // a closed connection ends whatever is waited for
  settle(loop);
  CHECK(writable == 1);
  run(loop, tasks.stop());
}

TEST_CASE("readiness: wake() resumes both directions, and a stopped task waits no longer") {
  io::Loop loop;
  Pair pair(loop);
  pair.fill();
  int ended = 0;
  io::TaskGroup tasks(loop);
  tasks.spawn(wait(*pair.watch, io::Direction::read, ended), "wait");
  tasks.spawn(wait(*pair.watch, io::Direction::write, ended), "wait");
  settle(loop);
  pair.watch->wake();
  settle(loop);
  CHECK(ended == 2);

  tasks.spawn(wait(*pair.watch, io::Direction::read, ended), "wait");
  settle(loop);
  run(loop, tasks.stop());
  CHECK(ended == 2);
}

}  // namespace krakend::test
