#include "krakend/cluster/hosts.h"

#include <fstream>
#include <map>
#include <set>

#include "support/catch.h"
#include "support/fake_clock.h"

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

}  // namespace
}  // namespace krakend::test
