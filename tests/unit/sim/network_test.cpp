#include "support/catch.h"
#include "support/read_exact.h"
#include "support/slice_file.h"
#include "support/synthetic.h"
#include "unit/io/net_support.h"
#include "unit/sim/world.h"

// What only a simulated network and disk can do.

namespace krakend::test {
namespace {

/// Two more hosts with lines of so many bytes a second.
struct Hosts {
  explicit Hosts(SimWorld& w, uint64_t rate) : world(w) {
    for (int i = 2; i <= 3; ++i) {
      ids.push_back(w.network.add_host({"10.0.0." + std::to_string(i), 0, rate, rate}));
      nets.push_back(w.network.attach(ids.back()));
    }
  }
  Task<Pair> open(size_t from, size_t to) {
    const io::Address at{world.network.ip(ids[to]), 0};
    auto listener = take(nets[to]->listen(at));
    auto opened = take(co_await nets[from]->connect(listener->local(), 10s));
    auto accepted = take(co_await listener->accept());
    co_return Pair{std::move(opened), std::move(accepted)};
  }
  Pair pair(size_t from, size_t to) { return world.run(open(from, to)); }

  SimWorld& world;
  std::vector<sim::HostId> ids;
  std::vector<std::unique_ptr<io::Net>> nets;
};

io::FilePtr synthetic_file(SimWorld& world, uint64_t seed, uint64_t size) {
  auto file = take(world.disk().make_memory_file());
  take(dynamic_cast<SliceFile&>(*file).write_slice(
      0, {std::make_shared<const Synthetic>(seed, size), nullptr, 0, size}));
  return file;
}

TEST_CASE("sim net: a line takes its time, and connections share it alike") {
  SimWorld world;
  constexpr uint64_t rate = 100'000'000;
  constexpr uint64_t size = 50'000'000;
  Hosts hosts(world, rate);
  Pair one = hosts.pair(0, 1);
  Pair other = hosts.pair(0, 1);
  const auto source = synthetic_file(world, 1, size);
  std::vector<double> ended;
  const auto receiver = [&](io::StreamPtr stream, io::FilePtr target) -> Task<> {
    const uint32_t sum = take(co_await stream->receive_file(target, 0, size));
    CHECK(sum == Synthetic(1, size).crc(0, size));
    ended.push_back(to_seconds(world.time.elapsed()));
  };
  const double began = to_seconds(world.time.elapsed());
  std::vector<Task<>> tasks;
  for (Pair* pair : {&one, &other}) {
    tasks.push_back(send(pair->opened, source, 0, size));
    tasks.push_back(receiver(pair->accepted, take(world.disk().make_memory_file())));
  }
  world.run(all(world.loop, std::move(tasks)));
  REQUIRE(ended.size() == 2);
  CHECK(ended[0] - began == Approx(1.0).margin(0.02));
  CHECK(ended[1] - began == Approx(1.0).margin(0.02));
}

TEST_CASE("sim net: a partition holds bytes up, one way, until it heals") {
  SimWorld world;
  Hosts hosts(world, 0);
  Pair pair = hosts.pair(0, 1);
  world.network.block(hosts.ids[0], hosts.ids[1]);
  bool came = false;
  const auto reader = [&]() -> Task<> {
    std::vector<std::byte> byte(1);
    take(co_await test::read_exact(*pair.accepted, byte));
    came = true;
  };
  const auto body = [&]() -> Task<> {
    take(co_await pair.opened->write(as_bytes("x")));
    take(co_await pair.accepted->write(as_bytes("y")));
    std::vector<std::byte> byte(1);
    take(co_await test::read_exact(*pair.opened, byte));
    co_await world.clock().sleep(1min);
    CHECK_FALSE(came);
    world.network.heal();
    co_await world.clock().sleep(1s);
    CHECK(came);
    auto dialled = co_await hosts.nets[0]->connect(pair.opened->peer(), 1s);
    CHECK_FALSE(dialled);
  };
  world.run(both(world.loop, reader(), body()));
}

TEST_CASE("sim net: who talks to a host that died waits, and is refused by its next life") {
  SimWorld world;
  Hosts hosts(world, 0);
  Pair pair = hosts.pair(0, 1);
  world.network.take_down(hosts.ids[1]);
  const auto body = [&]() -> Task<> {
    auto gone = co_await pair.accepted->write(as_bytes("x"));
    CHECK(code_of(gone) == Errc::cancelled);
    take(co_await pair.opened->write(as_bytes("x")));
    co_await world.clock().sleep(1min);
    take(co_await pair.opened->write(as_bytes("x")));
    const io::Address dead{"10.0.0.3", 80};
    auto dialled = co_await hosts.nets[0]->connect(dead, 2s);
    CHECK(code_of(dialled) == Errc::timeout);
    world.network.bring_up(hosts.ids[1]);
    co_await world.clock().sleep(1s);
    auto refused = co_await pair.opened->write(as_bytes("x"));
    CHECK(code_of(refused) == Errc::network);
  };
  world.run(body());
}

TEST_CASE("sim disk: a write takes the device's time, work of a pool its own") {
  SimWorld world;
  sim::SimDisk slow(world.time, world.random, world.trace, 0, world.platters, {1'000'000, 10ms, 0});
  auto file = take(slow.open("/dir/file", io::OpenMode::create));
  const std::string data(500'000, 'x');
  const auto body = [&]() -> Task<> {
    const TimePoint began = world.clock().now();
    take(co_await world.loop.offload([&] { return file->write_at(0, as_bytes(data)); }));
    take(co_await world.loop.offload([&] { return file->sync(); }));
    CHECK(to_seconds(world.clock().now() - began) == Approx(0.51).margin(0.001));
  };
  world.run(body());
}

TEST_CASE("sim disk: a process that lost its disk changes nothing any more") {
  SimWorld world;
  sim::SimDisk disk(world.time, world.random, world.trace, 0, world.platters, {});
  auto file = take(disk.open("/dir/file", io::OpenMode::create));
  take(file->write_at(0, as_bytes("abc")));
  disk.cut();
  CHECK(code_of(file->write_at(0, as_bytes("xyz"))) == Errc::io);
  CHECK(code_of(file->sync()) == Errc::io);
  CHECK(code_of(disk.remove("/dir/file")) == Errc::io);
  CHECK(take(io::read_file(world.platters, "/dir/file", 10)) == "abc");
}

TEST_CASE("synthetic bytes: their sums are those of the bytes") {
  const Synthetic content(7, 1'000'003);
  std::vector<std::byte> bytes(content.size());
  content.fill(0, bytes);
  std::vector<std::byte> part(1001);
  content.fill(13, part);
  CHECK(std::equal(part.begin(), part.end(), bytes.begin() + 13));
  CHECK(content.crc(13, 1001) == crc32(0, part));
  Sha256 sha;
  sha.update(bytes);
  CHECK(content.digest() == sha.digest());
}

TEST_CASE("synthetic bytes: a file of them hashes as any other, also where one byte is not theirs") {
  SimWorld world;
  constexpr uint64_t size = 3 * MiB + 5;
  const auto file = synthetic_file(world, 9, size);
  const Synthetic content(9, size);
  Sha256 sha;
  take(file->hash(sha, 0, MiB));
  take(file->hash(sha, MiB, size));
  CHECK(sha.digest() == content.digest());
  Sha256 strange;
  strange.update(as_bytes("not its beginning"));
  take(file->hash(strange, 17, size));
  CHECK(strange.digest() != content.digest());
  take(file->write_at(2 * MiB, as_bytes("!")));
  Sha256 other;
  take(file->hash(other, 0, size));
  CHECK(other.digest() != content.digest());
}

}  // namespace
}  // namespace krakend::test
