#pragma once

#include <algorithm>
#include <functional>
#include <future>
#include <thread>

#include "krakend/core/units.h"
#include "support/read_exact.h"
#include "unit/io/net_support.h"

// How operations of Net, Listener and Stream end before they are done: by shutdown(), by close(), by the end
// of their task's group. The world is that of net_contract.h.

namespace krakend::test {

/// A stream operation that waits for ever while the other side does nothing, and where its outcome goes.
struct Waiting {
  std::string name;
  std::function<Task<>(io::StreamPtr, io::FilePtr, Result<void>&)> start;
};

namespace detail {

inline Task<> wait_read_some(io::StreamPtr stream, io::FilePtr /*file*/, Result<void>& outcome) {
  std::vector<std::byte> buffer(1);
  auto got = co_await stream->read_some(buffer);
  outcome = got ? Result<void>{} : Result<void>(propagate(got));
}
inline Task<> wait_receive(io::StreamPtr stream, io::FilePtr /*file*/, Result<void>& outcome) {
  TextSink sink;
  auto got = co_await stream->receive(sink, 100);
  outcome = got ? Result<void>{} : Result<void>(propagate(got));
}
inline Task<> wait_receive_file(io::StreamPtr stream, io::FilePtr file, Result<void>& outcome) {
  auto got = co_await stream->receive_file(file, 0, 100);
  outcome = got ? Result<void>{} : Result<void>(propagate(got));
}
inline Task<> wait_write(io::StreamPtr stream, io::FilePtr /*file*/, Result<void>& outcome) {
  const std::vector<std::byte> data(64 * MiB);
  outcome = co_await stream->write(data);
}
inline Task<> wait_send_file(io::StreamPtr stream, io::FilePtr file, Result<void>& outcome) {
  outcome = co_await stream->send_file(file, 0, 64 * MiB);
}

}  // namespace detail

inline std::vector<Waiting> waiting_operations() {
  return {{"read_some", detail::wait_read_some},
          {"receive", detail::wait_receive},
          {"receive_file", detail::wait_receive_file},
          {"write", detail::wait_write},
          {"send_file", detail::wait_send_file}};
}

/// Runs the loop until nothing has moved on the stream for a moment: the operation waits.
inline Task<> until_waiting(io::Clock& clock, io::StreamPtr stream) {
  uint64_t before = 1;
  while (before != stream->bytes_sent()) {
    before = stream->bytes_sent();
    co_await clock.sleep(5ms);
  }
}

template <class World>
void shutdown_contract() {
  World world;
  Pair pair = connect_pair(world);
  const auto file = file_of(world, "source", {});
  take(file->truncate(64 * MiB));

  for (const auto& operation : waiting_operations()) {
    SECTION("shutdown ends " + operation.name + ", and each one after it fails at once") {
      Result<void> outcome;
      const auto ending = [&]() -> Task<> {
        co_await until_waiting(world.clock(), pair.opened);
        pair.opened->shutdown();
        pair.opened->shutdown();
      };
      world.run(both(world.loop, operation.start(pair.opened, file, outcome), ending()));
      CHECK(code_of(outcome) == Errc::cancelled);
      for (const auto& later : waiting_operations()) {
        INFO(later.name);
        outcome = Result<void>{};
        world.run(later.start(pair.opened, file, outcome));
        CHECK(code_of(outcome) == Errc::cancelled);
      }
    }
    SECTION("the end of its group ends " + operation.name) {
      Result<void> outcome = fail(Errc::internal, "not reached");
      io::TaskGroup group(world.loop, Logger::create({}, "test"));
      const auto body = [&]() -> Task<> {
        group.spawn(operation.start(pair.opened, file, outcome), operation.name);
        co_await until_waiting(world.clock(), pair.opened);
        CHECK(group.size() == 1);
        co_await group.stop();
      };
      world.run(body());
      CHECK(group.size() == 0);
      CHECK(outcome.error().message == "not reached");
    }
  }
  SECTION("the other side sees the end") {
    const auto body = [&]() -> Task<> {
      std::vector<std::byte> buffer(1);
      pair.opened->shutdown();
      const auto got = co_await pair.accepted->read_some(buffer);
      CHECK((got && *got == 0));
    };
    world.run(body());
  }
}

/// A sink that holds its pool thread until it is let go.
class HeldSink final : public io::ByteSink {
 public:
  Result<void> write(std::span<const std::byte> data) override {
    if (length == 0) {
      entered.set_value();
      release.get_future().wait();
    }
    length += data.size();
    return {};
  }
  std::promise<void> entered;
  std::promise<void> release;
  size_t length = 0;
};

/// Needs a pool. While a pool thread works for a stream that is shut down and let go by everyone else, its
/// descriptor must not become somebody else's: the step would take the other one's bytes.
template <class World>
void held_step_contract() {
  World world;
  Pair pair = connect_pair(world);
  HeldSink sink;
  std::vector<Pair> others;
  const auto data = random_bytes(2 * MiB, 10);
  const std::weak_ptr<io::Stream> watched = pair.accepted;
  io::Stream& held = *pair.accepted;
  Result<uint64_t> outcome;
  const auto receiving = [&]() -> Task<> { outcome = co_await held.receive(sink, 100 * MiB); };
  const auto writing = [&]() -> Task<> {
    static_cast<void>(co_await pair.opened->write(data));  // its end is sure to fail it
  };
  const auto ending = [&]() -> Task<> {
    io::TaskGroup group(world.loop);
    group.spawn(receiving(), "receive");
    group.spawn(writing(), "write");
    co_await world.loop.offload_to(world.watcher, [&] {
      sink.entered.get_future().wait();
      return 0;
    });
    held.shutdown();
    pair.accepted.reset();
    for (int i = 0; i < 10; ++i) {
      others.push_back(co_await open_pair(world));
      take(co_await others.back().opened->write(as_bytes("mine")));
    }
    CHECK_FALSE(watched.expired());
    sink.release.set_value();
    while (!watched.expired()) co_await world.clock().sleep(1ms);
    co_await group.stop();
  };
  world.run(ending());
  const auto check = [&]() -> Task<> {
    for (auto& other : others) {
      std::vector<std::byte> buffer(4);
      take(co_await test::read_exact(*other.accepted, buffer));
      CHECK(as_text(buffer) == "mine");
    }
  };
  world.run(check());
  CHECK(sink.length <= 2 * MiB);
}

template <class World>
void listener_contract() {
  World world;
  auto listener = take(world.net().listen({"127.0.0.1", 0}));
  const auto address = listener->local();

  SECTION("port 0 picks a port; a taken one is refused with the way out") {
    CHECK(address.port != 0);
    const auto second = world.net().listen(address);
    CHECK(code_of(second) == Errc::unavailable);
    CHECK(second.error().message ==
          "address " + address.str() + " is in use: stop the other process or choose another port");
  }
  SECTION("many connections are accepted, each with its own peer") {
    const auto body = [&]() -> Task<> {
      std::vector<io::StreamPtr> streams;
      std::vector<uint16_t> opened;
      std::vector<uint16_t> accepted;
      for (int i = 0; i < 200; ++i) {
        streams.push_back(take(co_await world.net().connect(address, 10s)));
        opened.push_back(streams.back()->local().port);
      }
      for (int i = 0; i < 200; ++i) {
        streams.push_back(take(co_await listener->accept()));
        accepted.push_back(streams.back()->peer().port);
      }
      std::sort(opened.begin(), opened.end());
      std::sort(accepted.begin(), accepted.end());
      CHECK(opened == accepted);
    };
    world.run(body());
  }
}

template <class World>
void listener_end_contract() {
  World world;
  auto listener = take(world.net().listen({"127.0.0.1", 0}));
  const auto address = listener->local();

  SECTION("close ends a waiting accept and all later ones, and frees the port") {
    Result<io::StreamPtr> outcome;
    const auto accepting = [&]() -> Task<> { outcome = co_await listener->accept(); };
    const auto closing = [&]() -> Task<> {
      co_await world.clock().sleep(2ms);
      listener->close();
      listener->close();
    };
    world.run(both(world.loop, accepting(), closing()));
    CHECK(code_of(outcome) == Errc::cancelled);
    outcome = world.run(listener->accept());
    CHECK(code_of(outcome) == Errc::cancelled);
    CHECK(world.net().listen(address));
  }
  SECTION("a listener may go while someone accepts") {
    Result<io::StreamPtr> outcome;
    const auto accepting = [&]() -> Task<> { outcome = co_await listener->accept(); };
    const auto going = [&]() -> Task<> {
      co_await world.clock().sleep(2ms);
      listener.reset();
    };
    world.run(both(world.loop, accepting(), going()));
    CHECK(code_of(outcome) == Errc::cancelled);
  }
  SECTION("the end of its group ends accept") {
    io::TaskGroup group(world.loop);
    bool accepted = false;
    const auto accepting = [&]() -> Task<> {
      static_cast<void>(co_await listener->accept());
      accepted = true;
    };
    const auto ending = [&]() -> Task<> {
      group.spawn(accepting(), "accept");
      co_await world.clock().sleep(2ms);
      co_await group.stop();
    };
    world.run(ending());
    CHECK_FALSE(accepted);
    CHECK(group.size() == 0);
  }
}

template <class World>
void connect_contract() {
  World world;
  SECTION("nobody listens") {
    auto listener = take(world.net().listen({"127.0.0.1", 0}));
    const auto address = listener->local();
    listener->close();
    const auto stream = world.run(world.net().connect(address, 10s));
    CHECK(code_of(stream) == Errc::network);
    CHECK(stream.error().message.find(address.str()) != std::string::npos);
  }
  SECTION("names are resolved") {
    auto listener = take(world.net().listen({"127.0.0.1", 0}));
    const io::Address named{"localhost", listener->local().port};
    const auto stream = take(world.run(world.net().connect(named, 10s)));
    CHECK(stream->peer() == listener->local());
  }
  SECTION("a name that is none") {
    const auto stream = world.run(world.net().connect({"not a name", 80}, 10s));
    CHECK(code_of(stream) == Errc::network);
    CHECK(stream.error().message.find("not a name") != std::string::npos);
  }
}

}  // namespace krakend::test
