#include <map>
#include <random>
#include <set>

#include "p2p/peer_backoff.h"
#include "p2p/piece_picker.h"
#include "p2p/request_table.h"
#include "support/catch.h"

using namespace krakend;
using namespace krakend::p2p;

namespace {

PeerId peer(uint8_t number) {
  std::array<uint8_t, 20> bytes{};
  bytes[0] = number;
  return PeerId(bytes);
}

Bitfield random_field(std::mt19937_64& random, uint32_t size) {
  Bitfield field(size);
  for (uint32_t i = 0; i < size; ++i) {
    if (random() % 2 == 0) field.set(i);
  }
  return field;
}

}  // namespace

TEST_CASE("picker agrees with a slow obvious model") {
  const auto seed = std::random_device{}();
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  constexpr uint32_t pieces = 130;
  std::vector<Bitfield> peers;
  PiecePicker picker{Bitfield(pieces)};
  std::set<uint32_t> taken;
  for (int i = 0; i < 6; ++i) {
    peers.push_back(random_field(random, pieces));
    picker.add_peer(peers.back());
  }
  for (int round = 0; round < 400; ++round) {
    const auto& from = peers[random() % peers.size()];
    const auto pick = picker.pick(from, random());
    uint32_t fewest = 1000;
    for (uint32_t i = 0; i < pieces; ++i) {
      if (!from.test(i) || taken.contains(i)) continue;
      uint32_t count = 0;
      for (const auto& p : peers) count += p.test(i) ? 1 : 0;
      fewest = std::min(fewest, count);
    }
    REQUIRE(pick.has_value() == (fewest < 1000));
    if (!pick) continue;
    CHECK(from.test(*pick));
    CHECK_FALSE(taken.contains(*pick));
    CHECK(picker.availability(*pick) == fewest);
    taken.insert(*pick);
    if (random() % 2 == 0)
      picker.mark_requested(*pick);
    else
      picker.mark_have(*pick);
  }
}

TEST_CASE("picker follows the cursor half of the time") {
  PiecePicker picker{Bitfield(100)};
  const Bitfield all(100, true);
  picker.add_peer(all);
  picker.set_cursor(40);
  CHECK(picker.pick(all, 2) == 40u);
  picker.mark_requested(40);
  CHECK(picker.pick(all, 2) == 41u);
  picker.release(40);
  CHECK(picker.pick(all, 2) == 40u);
}

TEST_CASE("request table: lost peers free their pieces, endgame asks once more") {
  RequestTable table;
  const TimePoint start{};
  table.add(peer(1), 7, start);
  table.add(peer(1), 8, start + 1s);
  table.add(peer(2), 8, start + 2s);
  CHECK(table.outstanding(peer(1)) == 2);
  CHECK(table.oldest(peer(1)) == start);
  CHECK(table.overdue_for(peer(2), Bitfield(10, true), start + 5s, 1s) == 7u);
  CHECK_FALSE(table.overdue_for(peer(1), Bitfield(10, true), start + 5s, 1s));
  CHECK_FALSE(table.overdue_for(peer(2), Bitfield(10, true), start + 500ms, 1s));
  CHECK(table.erase_peer(peer(1)) == std::vector<PieceIndex>{7});
  CHECK(table.erase_piece(8) == std::vector<PeerId>{peer(2)});
  CHECK(table.empty());
}

TEST_CASE("refusals pause shortly and grow, faults blacklist") {
  PeerBackoff backoff(30s);
  const TimePoint now{};
  backoff.refused(peer(1), now);
  CHECK_FALSE(backoff.allowed(peer(1), now + 499ms));
  CHECK(backoff.allowed(peer(1), now + 500ms));
  backoff.refused(peer(1), now + 500ms);
  CHECK_FALSE(backoff.allowed(peer(1), now + 1400ms));
  backoff.fault(peer(2), now);
  CHECK(backoff.is_faulty(peer(2), now + 29s));
  CHECK(backoff.allowed(peer(2), now + 30s));
  backoff.succeeded(peer(1));
  CHECK(backoff.allowed(peer(1), now));
}
