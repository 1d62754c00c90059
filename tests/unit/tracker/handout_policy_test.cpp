#include "roles/tracker/handout_policy.h"

#include <algorithm>
#include <set>

#include "support/catch.h"
#include "support/seeded_random.h"

using namespace krakend;
using namespace krakend::tracker;
using krakend::test::SeededRandom;

namespace {

std::vector<PeerInfo> crowd() {
  std::vector<PeerInfo> peers;
  for (int n = 1; n <= 30; ++n) {
    const bool origin = n % 3 == 0;
    const bool complete = origin || n % 3 == 1;
    peers.push_back({addr_hash_peer_id("10.0.0.1", n), "10.0.0.1", n, origin, complete});
  }
  return peers;
}

std::string classes(const std::vector<PeerInfo>& peers) {
  std::string out;
  for (const PeerInfo& p : peers) out += p.origin ? 'o' : p.complete ? 'c' : 'i';
  return out;
}

std::vector<int> ports(const std::vector<PeerInfo>& peers) {
  std::vector<int> out;
  for (const PeerInfo& p : peers) out.push_back(p.port);
  return out;
}

}  // namespace

TEST_CASE("completeness: complete agents, then origins, then incomplete agents") {
  SeededRandom random(5);
  auto peers = crowd();
  HandoutPolicy(HandoutPolicy::Priority::completeness).sort(peers, random);
  CHECK(classes(peers) == std::string(10, 'c') + std::string(10, 'o') + std::string(10, 'i'));
  const auto all = ports(peers);
  CHECK(std::set<int>(all.begin(), all.end()).size() == 30);
}

TEST_CASE("the order within a class is random, the same for the same seed") {
  const HandoutPolicy policy(HandoutPolicy::Priority::completeness);
  const auto order = [&policy](uint64_t seed) {
    SeededRandom random(seed);
    auto peers = crowd();
    policy.sort(peers, random);
    return ports(peers);
  };
  CHECK(order(1) == order(1));
  CHECK(order(1) != order(2));
  std::set<int> first;
  for (uint64_t seed = 0; seed < 200; ++seed) first.insert(order(seed).front());
  CHECK(first.size() == 10);
}

TEST_CASE("the default policy mixes the classes") {
  SeededRandom random(6);
  auto peers = crowd();
  HandoutPolicy(HandoutPolicy::Priority::any).sort(peers, random);
  CHECK_FALSE(std::is_sorted(peers.begin(), peers.end(),
                             [](const PeerInfo& a, const PeerInfo& b) { return a.port < b.port; }));
  CHECK(classes(peers) != std::string(10, 'c') + std::string(10, 'o') + std::string(10, 'i'));
}
