#include "krakend/cluster/hosts.h"

#include <fstream>
#include <map>
#include <set>

#include "krakend/io/system.h"
#include "support/catch.h"
#include "support/fake_clock.h"
#include "support/run.h"

namespace krakend::test {
namespace {

using cluster::HashRing;
using cluster::PassiveHealth;
using Hosts = std::vector<std::string>;

Digest digest_of(int i) {
  return Digest::of("blob " + std::to_string(i));
}

/// A digest of the given shard: the first four hex digits.
Digest of_shard(const std::string& shard) {
  return *Digest::parse("sha256:" + shard + std::string(60, '0'));
}

std::string joined(const Hosts& hosts) {
  std::string text;
  for (const auto& host : hosts) text += (text.empty() ? "" : ",") + host;
  return text;
}

TEST_CASE("hash ring: the owners that a reference cluster answered") {
  const HashRing ring({"127.0.0.1:15101", "127.0.0.1:15102", "127.0.0.1:15103"}, 2, nullptr);
  std::ifstream file(KRAKEND_TEST_DATA "/ring-locations.txt");
  int vectors = 0;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line.starts_with('#')) continue;
    CHECK(joined(ring.locations(of_shard(line.substr(0, 4)))) == line.substr(5));
    ++vectors;
  }
  CHECK(vectors == 27);
}

TEST_CASE("hash ring: the order of the members does not matter") {
  const HashRing one({"a:1", "b:1", "c:1", "d:1"}, 3, nullptr);
  const HashRing other({"d:1", "b:1", "a:1", "c:1"}, 3, nullptr);
  for (int i = 0; i < 200; ++i) CHECK(one.locations(digest_of(i)) == other.locations(digest_of(i)));
}

TEST_CASE("hash ring: a member that joins takes its share, and nothing moves between the others") {
  const Hosts before{"a:1", "b:1", "c:1", "d:1"};
  Hosts after = before;
  after.push_back("e:1");
  const HashRing small(before, 1, nullptr), large(after, 1, nullptr);
  std::map<std::string, int> owned;
  constexpr int blobs = 2000;
  for (int i = 0; i < blobs; ++i) {
    const auto now = large.locations(digest_of(i)).front();
    if (now != "e:1") CHECK(now == small.locations(digest_of(i)).front());
    ++owned[now];
  }
  for (const auto& [host, count] : owned) {
    INFO(host);
    CHECK(count > blobs / 5 * 3 / 4);
    CHECK(count < blobs / 5 * 5 / 4);
  }
}

TEST_CASE("hash ring: sick owners are left out; behind them the next healthy one") {
  std::set<std::string> sick;
  const HashRing ring({"a:1", "b:1", "c:1", "d:1"}, 2,
                      [&](const std::string& host) { return !sick.contains(host); });
  const auto digest = digest_of(1);
  const HashRing whole({"a:1", "b:1", "c:1", "d:1"}, 4, nullptr);
  const auto order = whole.locations(digest);
  REQUIRE(order.size() == 4);
  CHECK(ring.locations(digest) == Hosts{order[0], order[1]});
  sick = {order[0]};
  CHECK(ring.locations(digest) == Hosts{order[1]});
  sick = {order[0], order[1]};
  CHECK(ring.locations(digest) == Hosts{order[2]});
  sick = {order[0], order[1], order[2]};
  CHECK(ring.locations(digest) == Hosts{order[3]});
  sick.insert(order[3]);
  CHECK(ring.locations(digest) == Hosts{order[0]});
}

TEST_CASE(
    "passive health: three failures in time take a host out for as long") {  // contract core-formats §12.2
  FakeClock clock;
  PassiveHealth health(clock, 3, std::chrono::minutes(5));
  health.failed("a");
  health.failed("a");
  CHECK(health.healthy("a"));
  health.failed("a");
  CHECK_FALSE(health.healthy("a"));
  CHECK(health.filter({"a", "b"}) == Hosts{"b"});
  CHECK(health.filter({"a"}) == Hosts{"a"});
  clock.advance(std::chrono::minutes(5));
  CHECK_FALSE(health.healthy("a"));
  clock.advance(std::chrono::seconds(1));
  CHECK(health.healthy("a"));
}

TEST_CASE("passive health: failures far apart do not add up") {
  FakeClock clock;
  PassiveHealth health(clock, 3, std::chrono::minutes(5));
  for (int i = 0; i < 10; ++i) {
    health.failed("a");
    clock.advance(std::chrono::minutes(3));
    CHECK(health.healthy("a"));
  }
}

/// A name server that says what it is told to.
class NameServer final : public io::Net {
 public:
  Task<Result<io::StreamPtr>> connect(const io::Address&, Duration) override {
    co_return fail(Errc::network, "no network");
  }
  Result<std::unique_ptr<io::Listener>> listen(const io::Address&) override {
    return fail(Errc::network, "no network");
  }
  Task<Result<Hosts>> resolve(std::string host, Duration) override {
    ++asked;
    if (answer.empty()) co_return fail(Errc::network, "resolve {}: no answer", host);
    co_return answer;
  }
  Hosts answer;
  int asked = 0;
};

struct Watched {
  io::Loop loop;
  FakeClock clock;
  NameServer names;
  cluster::HostsOptions options;
  Watched() { options.dns = "origins.example:15002"; }
};

TEST_CASE("hosts by name: all addresses with the port, each once, IPv6 in brackets") {
  Watched w;
  w.names.answer = {"10.0.0.1", "10.0.0.2", "10.0.0.1", "fd00::1"};
  cluster::HostWatch watch(w.loop, w.names, w.clock, w.options, Logger());
  CHECK(watch.hosts().list().empty());
  REQUIRE(run(w.loop, watch.refresh()));
  CHECK(watch.hosts().list() == Hosts{"10.0.0.1:15002", "10.0.0.2:15002", "[fd00::1]:15002"});
}

TEST_CASE("hosts by name: while there is no answer the last one holds; a ring sees each new one") {
  Watched w;
  w.names.answer = {"10.0.0.1"};
  cluster::HostWatch watch(w.loop, w.names, w.clock, w.options, Logger());
  const HashRing ring(watch.hosts(), 3, nullptr);
  int changes = 0;
  watch.hosts().on_change([&] { ++changes; });
  REQUIRE(run(w.loop, watch.refresh()));
  CHECK(ring.locations(digest_of(1)) == Hosts{"10.0.0.1:15002"});
  w.names.answer.clear();
  CHECK_FALSE(run(w.loop, watch.refresh()));
  CHECK(ring.contains("10.0.0.1:15002"));
  w.names.answer = {"10.0.0.2", "10.0.0.1"};
  REQUIRE(run(w.loop, watch.refresh()));
  CHECK(ring.locations(digest_of(1)).size() == 2);
  w.names.answer = {"10.0.0.1", "10.0.0.2"};
  REQUIRE(run(w.loop, watch.refresh()));
  CHECK(changes == 2);
}

TEST_CASE("hosts that are written down are asked of nobody") {
  Watched w;
  cluster::HostWatch watch(w.loop, w.names, w.clock, {"a:1", "b:1"}, Logger());
  io::TaskGroup tasks(w.loop);
  tasks.spawn(watch.run(), "watch");
  while (w.loop.poll() > 0) {
  }
  CHECK(watch.hosts().list() == Hosts{"a:1", "b:1"});
  CHECK(w.names.asked == 0);
  run(w.loop, tasks.stop());
}

TEST_CASE("hosts: from a list to a name, to another name, and back, while it runs") {
  io::Loop loop;
  const auto clock = io::make_system_clock(loop);
  NameServer names;
  cluster::HostsOptions named;
  named.dns = "one.example:1";
  named.ttl = 1h;
  cluster::HostWatch watch(loop, names, *clock, {"a:1"}, Logger());
  io::TaskGroup tasks(loop);
  tasks.spawn(watch.run(), "watch");
  const auto settle = [&] {
    while (loop.poll() > 0) {
    }
  };
  settle();
  watch.configure(named);
  CHECK(watch.hosts().list() == Hosts{"a:1"});  // until the name server has answered
  names.answer = {"10.0.0.1"};
  settle();
  CHECK(watch.hosts().list() == Hosts{"10.0.0.1:1"});

  named.dns = "two.example:2";
  names.answer = {"10.0.0.2"};
  watch.configure(named);
  settle();
  CHECK(watch.hosts().list() == Hosts{"10.0.0.2:2"});
  CHECK(names.asked == 2);

  watch.configure({"b:1"});
  CHECK(watch.hosts().list() == Hosts{"b:1"});
  settle();
  CHECK(names.asked == 2);
  run(loop, tasks.stop());
}

}  // namespace
}  // namespace krakend::test
