#include "roles/origin/blob_refresher.h"

#include "krakend/cluster/hosts.h"
#include "support/fake_client.h"
#include "support/fake_clock.h"
#include "unit/origin/node.h"

using namespace krakend;

namespace {

const std::string content = "hello kraken";
const Digest digest = Digest::of(content);

struct Fixture {
  test::World world;
  test::FakeClock clock;
  test::FakeClient http;
  io::TaskGroup tasks{world.loop};
  io::TaskGroup askers{world.loop};
  storage::BlobStore store{world.loop,
                           *world.disk,
                           *world.random,
                           {world.directory / "c", world.directory / "d", world.directory / "u", 100},
                           Logger()};
  std::shared_ptr<test::TestBackend> remote;
  backend::Backends backends;
  Metrics metrics;
  cluster::HashRing ring{{"self:1"}, 3, [](const std::string&) { return true; }};
  io::Bandwidth egress{clock};
  io::Bandwidth ingress{clock};
  origin::Replicator replicator{
      {world.loop, *world.clock, *world.random, http, tasks, store, ring, metrics, egress, ingress},
      "self:1",
      30min,
      Logger()};
  origin::BlobRefresher refresher{
      {world.loop, clock, tasks, store, backends, replicator, metrics}, {{0, 5}}, 0, Logger()};
  std::vector<std::string> outcomes;
  std::function<Task<>()> ask = [this]() { return refresh(); };

  Fixture() {
    REQUIRE(store.open_directories());
    auto names = backend::make_name_path("identity", world.directory / "backend");
    REQUIRE(names);
    auto files = backend::make_file_backend(world.loop, *world.disk, std::move(*names));
    REQUIRE(world.run(files->put(digest.hex(), content)));
    remote = std::make_shared<test::TestBackend>(world.loop, files);
    REQUIRE(backends.add("^lib/", remote));
  }
  ~Fixture() {
    world.run(askers.stop());
    world.run(tasks.stop());
  }

  Task<> refresh() {
    auto done = co_await refresher.refresh("lib/x", digest);
    outcomes.push_back(done ? "ok" : std::string(to_string(done.error().code)));
  }
  /// Lets the loop run until `condition` holds.
  void until(std::function<bool()> condition) { world.run(wait_for(std::move(condition))); }
  Task<> wait_for(std::function<bool()> condition) {
    while (!condition()) co_await world.clock->sleep(1ms);
  }
  void ask_and_wait() {
    const size_t before = outcomes.size();
    askers.spawn(ask(), "refresh");
    until([&] { return outcomes.size() > before; });
  }
};

}  // namespace

TEST_CASE("requests for one blob share one fetch") {
  Fixture f;
  f.remote->held = true;
  for (int i = 0; i < 5; ++i) f.askers.spawn(f.ask(), "refresh");
  f.until([&] { return f.remote->downloads == 1; });
  CHECK(f.outcomes.empty());
  f.remote->held = false;
  f.remote->gate.notify_all();
  f.until([&] { return f.outcomes.size() == 5; });
  CHECK(f.outcomes == std::vector<std::string>(5, "ok"));
  CHECK(f.remote->downloads == 1);
  const auto metainfo = f.world.run(f.store.metainfo(digest));
  REQUIRE(metainfo);
  CHECK(metainfo->info_hash().hex() == "9c51c05e23292bbb5b84259161d306d167499a30");
}

TEST_CASE("a request waits 2 s for a fetch, then it is pending") {
  Fixture f;
  f.remote->held = true;
  f.askers.spawn(f.ask(), "refresh");
  f.until([&] { return f.remote->downloads == 1; });
  f.clock.advance(1999ms);
  for (int i = 0; i < 20; ++i) f.world.loop.poll();
  CHECK(f.outcomes.empty());
  f.clock.advance(1ms);
  f.until([&] { return f.outcomes.size() == 1; });
  CHECK(f.outcomes[0] == "pending");
  f.remote->held = false;
  f.remote->gate.notify_all();
  f.until([&] { return f.tasks.size() == 0; });
  CHECK(f.world.run(f.store.size(digest)).has_value());
}

TEST_CASE("a failure is replayed for 15 s, then tried again") {
  Fixture f;
  f.remote->broken = true;
  f.ask_and_wait();
  f.remote->broken = false;
  f.clock.advance(14s);
  f.ask_and_wait();
  CHECK(f.remote->downloads == 1);
  f.clock.advance(1s);
  f.ask_and_wait();
  CHECK(f.remote->downloads == 2);
  CHECK(f.outcomes ==
        std::vector<std::string>{std::string(to_string(Errc::io)), std::string(to_string(Errc::io)), "ok"});
}

TEST_CASE("bytes of another digest are not kept") {
  Fixture f;
  REQUIRE(f.world.run(f.remote->put(digest.hex(), "something else")));
  f.ask_and_wait();
  CHECK(f.outcomes[0] == to_string(Errc::corrupt));
  CHECK_FALSE(f.world.run(f.store.size(digest)).has_value());
}

TEST_CASE("what the backend does not have is not found, every time anew") {
  Fixture f;
  REQUIRE(f.world.run(f.remote->remove(digest.hex())));
  f.ask_and_wait();
  REQUIRE(f.world.run(f.remote->put(digest.hex(), content)));
  f.ask_and_wait();
  CHECK(f.outcomes == std::vector<std::string>{std::string(to_string(Errc::not_found)), "ok"});
}

TEST_CASE("whoever follows a fetch reads its bytes as they come, the last ones when all are verified") {
  Fixture f;
  const std::string large(300 * 1024, 'k');
  const Digest of_large = Digest::of(large);
  const auto part = std::make_shared<test::SlowBackend>(f.world.loop, large);
  REQUIRE(f.backends.add("^slow/", part));
  CHECK(f.refresher.arriving(of_large) == nullptr);
  std::function<Task<>()> ask = [&]() -> Task<> { (void)co_await f.refresher.refresh("slow/x", of_large); };
  f.askers.spawn(ask(), "refresh");
  f.until([&] { return part->given > 0 && f.refresher.arriving(of_large) != nullptr; });
  const auto arriving = f.refresher.arriving(of_large);
  CHECK(arriving->size() == large.size());
  CHECK(f.world.run(arriving->ready(0)).value() == part->given);
  part->go_on = true;
  part->gate.notify_all();
  const auto end = f.world.run(arriving->ready(large.size() - 1));
  REQUIRE(end);
  CHECK(*end == large.size());
  std::string read(large.size(), '\0');
  REQUIRE(arriving->file()->read_at(0, std::as_writable_bytes(std::span<char>(read))));
  CHECK(read == large);
  CHECK(f.refresher.arriving(of_large) == nullptr);
}

TEST_CASE("whoever follows a fetch of wrong bytes never gets the end") {
  Fixture f;
  std::string large(300 * 1024, 'k');
  const Digest of_large = Digest::of(large);
  large.back() = 'x';
  const auto part = std::make_shared<test::SlowBackend>(f.world.loop, large);
  part->go_on = true;
  REQUIRE(f.backends.add("^slow/", part));
  io::ContentPtr arriving;
  std::function<Task<>()> ask = [&]() -> Task<> { (void)co_await f.refresher.refresh("slow/x", of_large); };
  part->at_end = [&] { arriving = f.refresher.arriving(of_large); };
  f.askers.spawn(ask(), "refresh");
  f.until([&] { return f.tasks.size() == 0 && arriving != nullptr; });
  CHECK(f.world.run(arriving->ready(large.size() - 1)).error().code == Errc::corrupt);
}
