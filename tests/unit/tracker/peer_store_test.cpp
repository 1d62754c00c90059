#include "roles/tracker/peer_store.h"

#include <map>
#include <set>

#include "support/catch.h"
#include "support/seeded_random.h"

using namespace krakend;
using namespace krakend::tracker;
using krakend::test::SeededRandom;

namespace {

const TimePoint start{1h};

InfoHash torrent(uint8_t n) {
  return InfoHash({n});
}

PeerInfo peer(unsigned n, bool complete = false) {
  return {addr_hash_peer_id("10.0.0.1", static_cast<int>(n)), "10.0.0.1", static_cast<int>(n), false,
          complete};
}

const PeerId nobody;

}  // namespace

TEST_CASE("a peer is handed out as it announced last, never as an origin") {
  PeerStore store;
  SeededRandom random(1);
  PeerInfo announced = peer(7);
  announced.origin = true;
  store.update(torrent(1), announced, start);
  announced.complete = true;
  announced.ip = "10.0.0.2";
  store.update(torrent(1), announced, start);
  const auto out = store.sample(torrent(1), 50, nobody, start, random);
  REQUIRE(out.size() == 1);
  CHECK(out[0] == PeerInfo{announced.peer_id, "10.0.0.2", 7, false, true});
  CHECK(store.sample(torrent(2), 50, nobody, start, random).empty());
}

TEST_CASE("a sample is distinct, bounded, without the announcer, and uniform") {
  PeerStore store;
  const uint64_t seed = 20'260'101;
  CAPTURE(seed);
  SeededRandom random(seed);
  for (unsigned n = 1; n <= 100; ++n) store.update(torrent(1), peer(n), start);
  std::map<int, int> seen;
  for (int round = 0; round < 2000; ++round) {
    const auto out = store.sample(torrent(1), 10, peer(1).peer_id, start, random);
    REQUIRE(out.size() == 10);
    std::set<int> ports;
    for (const PeerInfo& p : out) {
      ports.insert(p.port);
      ++seen[p.port];
    }
    REQUIRE(ports.size() == 10);
    REQUIRE(ports.count(1) == 0);
  }
  REQUIRE(seen.size() == 99);
  for (const auto& [port, count] : seen) {
    CAPTURE(port);
    // 2000 × 10 / 99 ≈ 202, standard deviation about 13.5
    CHECK(count > 130);
    CHECK(count < 280);
  }
}

TEST_CASE("a sample larger than the torrent has everybody") {
  PeerStore store;
  SeededRandom random(2);
  for (unsigned n = 1; n <= 5; ++n) store.update(torrent(1), peer(n), start);
  CHECK(store.sample(torrent(1), 50, nobody, start, random).size() == 5);
  CHECK(store.sample(torrent(1), 50, peer(3).peer_id, start, random).size() == 4);
}

TEST_CASE("expired peers are not handed out, and cleaned up") {
  PeerStoreLimits limits;
  limits.ttl = 5h;
  PeerStore store(limits);
  SeededRandom random(3);
  store.update(torrent(1), peer(1), start);
  store.update(torrent(1), peer(2), start + 1h);
  store.update(torrent(2), peer(1), start);
  store.update(torrent(1), peer(1), start + 2h);  // again: lives longer
  CHECK(store.sample(torrent(1), 50, nobody, start + 6h, random).size() == 1);
  CHECK(store.cleanup(start + 5h) == 1);
  CHECK(store.torrents() == 1);
  CHECK(store.cleanup(start + 6h) == 1);
  CHECK(store.peers() == 1);
  CHECK(store.cleanup(start + 7h) == 1);
  CHECK(store.torrents() == 0);
  CHECK(store.peers() == 0);
}

TEST_CASE("a full torrent loses the peer that announced longest ago") {
  PeerStoreLimits limits;
  limits.max_peers_per_torrent = 3;
  PeerStore store(limits);
  SeededRandom random(4);
  for (unsigned n = 1; n <= 3; ++n) store.update(torrent(1), peer(n), start);
  store.update(torrent(1), peer(1), start);  // 2 is the oldest now
  store.update(torrent(1), peer(4), start);
  std::set<int> ports;
  for (const PeerInfo& p : store.sample(torrent(1), 50, nobody, start, random)) ports.insert(p.port);
  CHECK(ports == std::set<int>{1, 3, 4});
}

TEST_CASE("too many torrents or peers push out the oldest torrent") {
  PeerStoreLimits limits;
  limits.max_torrents = 3;
  limits.max_peers = 5;
  PeerStore store(limits);
  for (uint8_t t = 1; t <= 3; ++t) store.update(torrent(t), peer(1), start);
  store.update(torrent(1), peer(2), start);
  store.update(torrent(4), peer(1), start);
  CHECK(store.torrents() == 3);
  CHECK(store.peers(torrent(2)) == 0);
  CHECK(store.peers(torrent(1)) == 2);
  for (unsigned n = 2; n <= 4; ++n) store.update(torrent(4), peer(n), start);
  CHECK(store.peers() <= 5);
  CHECK(store.peers(torrent(4)) == 4);
}

TEST_CASE("the books stay straight under random traffic") {
  PeerStoreLimits limits;
  limits.ttl = 100s;
  limits.max_torrents = 8;
  limits.max_peers_per_torrent = 20;
  limits.max_peers = 100;
  PeerStore store(limits);
  const uint64_t seed = 77;
  CAPTURE(seed);
  SeededRandom random(seed);
  TimePoint now = start;
  for (int step = 0; step < 20'000; ++step) {
    now += Duration(1s) * static_cast<int64_t>(random.below(3));
    store.update(torrent(static_cast<uint8_t>(random.below(12))),
                 peer(1 + static_cast<unsigned>(random.below(40))), now);
    if (random.below(50) == 0) store.cleanup(now);
    size_t sum = 0;
    for (uint8_t t = 0; t < 12; ++t) {
      REQUIRE(store.peers(torrent(t)) <= 20);
      sum += store.peers(torrent(t));
    }
    REQUIRE(sum == store.peers());
    REQUIRE(store.torrents() <= 8);
    REQUIRE(store.peers() <= 100);
  }
  store.cleanup(now + 100s);
  CHECK(store.peers() == 0);
}
