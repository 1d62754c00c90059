#include <algorithm>
#include <array>
#include <map>
#include <random>
#include <set>
#include <vector>

#include "krakend/core/units.h"
#include "p2p/super_seeder.h"
#include "support/catch.h"
#include "unit/p2p/numbered_peer.h"

using namespace krakend;
using namespace krakend::p2p;
using krakend::test::peer;

namespace {

Bitfield shown_to(SuperSeeder& seeder, uint8_t number, uint32_t pieces) {
  return seeder.add_peer(peer(number), Bitfield(pieces));
}

}  // namespace

TEST_CASE("super-seeding: who sees everything at once is shown nothing more, and takes nothing from others") {
  constexpr uint32_t pieces = 100;
  SuperSeeder seeder(pieces);
  const Bitfield first = shown_to(seeder, 1, pieces);
  const Bitfield second = shown_to(seeder, 2, pieces);
  REQUIRE_FALSE(second.all());
  CHECK(seeder.add_peer(peer(3), Bitfield(pieces), true).all());
  CHECK(shown_to(seeder, 4, pieces).count() == SuperSeeder::shown_at_a_time(4));
  for (PieceIndex piece = pieces; piece-- > 0;) {
    for (const auto& [who, more] : seeder.took(peer(3), piece, true)) CHECK(who != peer(3));
  }
  CHECK(seeder.help(peer(3)).empty());
  (void)seeder.remove_peer(peer(3));
}

TEST_CASE("super-seeding: a lone peer sees everything, many see different pieces") {
  SuperSeeder seeder(100);
  CHECK(shown_to(seeder, 1, 100).all());
  (void)seeder.remove_peer(peer(1));
  SuperSeeder crowd(100);
  std::map<uint8_t, Bitfield> seen;
  for (uint8_t number = 1; number <= 40; ++number) seen[number] = shown_to(crowd, number, 100);
  // Those that came when there were many are shown one each, and none of it twice while there is something
  // new.
  std::set<PieceIndex> late;
  for (uint8_t number = 33; number <= 40; ++number) {
    CHECK(seen[number].count() == 1);
    for (PieceIndex piece = 0; piece < 100; ++piece) {
      if (seen[number].test(piece)) late.insert(piece);
    }
  }
}

TEST_CASE("super-seeding: whoever takes what it was shown is shown something else, until it has all") {
  constexpr uint32_t pieces = 50;
  SuperSeeder seeder(pieces);
  std::mt19937_64 random(3);
  std::map<PeerId, std::set<PieceIndex>> open;
  std::map<PeerId, Bitfield> have;
  std::vector<unsigned> given(pieces, 0);
  for (uint8_t number = 1; number <= 8; ++number) {
    const Bitfield shown = shown_to(seeder, number, pieces);
    have[peer(number)] = Bitfield(pieces);
    for (PieceIndex piece = 0; piece < pieces; ++piece) {
      if (shown.test(piece)) open[peer(number)].insert(piece);
    }
  }
  const auto take = [&](const PeerId& who, PieceIndex piece, bool from_here) {
    have[who].set(piece);
    open[who].erase(piece);
    if (from_here) ++given[piece];
    for (const auto& [other, more] : seeder.took(who, piece, from_here)) {
      CHECK_FALSE(have[other].test(more));
      CHECK(open[other].insert(more).second);
    }
  };
  // Everybody takes what it is shown, and gets from the others what these have, but slowly.
  for (int step = 0; step < 5000; ++step) {
    const PeerId who = peer(static_cast<uint8_t>(1 + random() % 8));
    if (have[who].all()) continue;
    if (random() % 2 == 0 && !open[who].empty()) {
      take(who, *open[who].begin(), true);
    } else {
      const PeerId from = peer(static_cast<uint8_t>(1 + random() % 8));
      for (PieceIndex piece = 0; piece < pieces; ++piece) {
        if (have[from].test(piece) && !have[who].test(piece)) {
          take(who, piece, false);
          break;
        }
      }
    }
  }
  for (const auto& [who, field] : have) CHECK(field.all());
  for (const unsigned count : given) CHECK(count >= 1);
}

TEST_CASE("super-seeding: peers that reach nobody else get everything all the same") {
  constexpr uint32_t pieces = 40;
  SuperSeeder seeder(pieces);
  std::map<PeerId, std::set<PieceIndex>> open;
  std::map<PeerId, unsigned> got;
  const auto note = [&](const std::vector<SuperSeeder::Shown>& shown) {
    for (const auto& [who, piece] : shown) open[who].insert(piece);
  };
  for (uint8_t number = 1; number <= 6; ++number) {
    const Bitfield shown = shown_to(seeder, number, pieces);
    for (PieceIndex piece = 0; piece < pieces; ++piece) {
      if (shown.test(piece)) open[peer(number)].insert(piece);
    }
  }
  for (int round = 0; round < 500; ++round) {
    for (uint8_t number = 1; number <= 6; ++number) {
      const PeerId who = peer(number);
      if (open[who].empty()) {
        note(seeder.help(who));
        continue;
      }
      const PieceIndex piece = *open[who].begin();
      open[who].erase(piece);
      ++got[who];
      note(seeder.took(who, piece, true));
    }
  }
  for (uint8_t number = 1; number <= 6; ++number) CHECK(got[peer(number)] == pieces);
}

TEST_CASE("super-seeding: what a peer is slow to take is shown to others, after what nobody was shown") {
  constexpr uint32_t pieces = 40;
  SuperSeeder seeder(pieces);
  for (uint8_t number = 1; number <= 8; ++number) (void)shown_to(seeder, number, pieces);
  const Bitfield slow_sees = shown_to(seeder, 9, pieces);
  const auto seen_by_slow = [&](PieceIndex piece) { return slow_sees.test(piece); };
  std::vector<PieceIndex> order;
  CHECK(seeder.doubt(peer(10)).empty());
  for (const auto& [who, piece] : seeder.doubt(peer(9))) CHECK(who != peer(9));
  CHECK(seeder.doubt(peer(9)).empty());  // it is known as slow
  // The first peer takes all it is shown: the slow one's pieces are among that, and come last.
  Bitfield have(pieces);
  std::vector<PieceIndex> todo;
  (void)seeder.remove_peer(peer(1));
  const Bitfield first = seeder.add_peer(peer(1), have);
  for (PieceIndex piece = 0; piece < pieces; ++piece) {
    if (first.test(piece)) todo.push_back(piece);
  }
  while (!todo.empty()) {
    const PieceIndex piece = todo.front();
    todo.erase(todo.begin());
    order.push_back(piece);
    for (const auto& [who, more] : seeder.took(peer(1), piece, true)) {
      if (who == peer(1)) todo.push_back(more);
    }
  }
  const auto first_slow = std::find_if(order.begin(), order.end(), seen_by_slow);
  REQUIRE(first_slow != order.end());
  CHECK(std::all_of(first_slow, order.end(), seen_by_slow));
}

TEST_CASE("super-seeding: nobody has to wait for what only a slow peer has") {
  constexpr uint32_t pieces = 8;
  for (const bool trusted : {false, true}) {
    SuperSeeder seeder(pieces);
    Bitfield most(pieces, true);
    most.clear(3);
    (void)seeder.add_peer(peer(1), Bitfield(pieces));
    for (uint8_t number = 2; number <= 5; ++number) (void)seeder.add_peer(peer(number), most);
    // All pieces have left the origin, and the fourth one to the first peer alone.
    for (PieceIndex piece = 0; piece < pieces; ++piece) (void)seeder.took(peer(1), piece, true);
    auto shown = seeder.doubt(peer(1));
    if (trusted) {
      seeder.trust(peer(1));
      (void)seeder.remove_peer(peer(2));
      CHECK_FALSE(seeder.add_peer(peer(2), most).test(3));
    } else {
      REQUIRE(shown.size() == 1);
      CHECK(shown.front().piece == 3);
    }
  }
}

TEST_CASE("super-seeding: what goes to one peer another can get there, while there is something new") {
  constexpr uint32_t pieces = 100;
  SuperSeeder seeder(pieces);
  REQUIRE(shown_to(seeder, 1, pieces).all());
  const Bitfield second = shown_to(seeder, 2, pieces);
  PieceIndex piece = 0;
  while (!second.test(piece)) ++piece;
  CHECK_FALSE(seeder.is_elsewhere(peer(2), piece));
  seeder.begins(peer(1), piece);
  CHECK(seeder.is_elsewhere(peer(2), piece));
  CHECK_FALSE(seeder.is_elsewhere(peer(1), piece));
  SECTION("what was refused is not shown again, and not refused twice") {
    for (const auto& shown : seeder.refused(peer(2), piece)) CHECK(shown.piece != piece);
    CHECK_FALSE(seeder.is_elsewhere(peer(2), piece));
    CHECK(seeder.refused(peer(2), piece).empty());
    // More peers: what is on its way to the first one is nobody else's.
    for (uint8_t number = 3; number <= 8; ++number) CHECK_FALSE(shown_to(seeder, number, pieces).test(piece));
  }
  SECTION("not by one that is slow, or gone") {
    (void)seeder.doubt(peer(1));
    CHECK_FALSE(seeder.is_elsewhere(peer(2), piece));
    seeder.trust(peer(1));
    CHECK(seeder.is_elsewhere(peer(2), piece));
    (void)seeder.remove_peer(peer(1));
    CHECK_FALSE(seeder.is_elsewhere(peer(2), piece));
  }
  SECTION("not to one that gets nothing from others") {
    (void)seeder.help(peer(2));
    CHECK_FALSE(seeder.is_elsewhere(peer(2), piece));
  }
  SECTION("not once everything has left") {
    for (PieceIndex each = 0; each < pieces; ++each) (void)seeder.took(peer(1), each, true);
    CHECK_FALSE(seeder.is_elsewhere(peer(2), piece));
  }
}

TEST_CASE("super-seeding: when the others go, the one that is left sees everything") {
  SuperSeeder seeder(60);
  for (uint8_t number = 1; number <= 20; ++number) (void)shown_to(seeder, number, 60);
  const Bitfield first = shown_to(seeder, 21, 60);
  std::set<PieceIndex> more;
  for (uint8_t number = 1; number <= 20; ++number) {
    for (const auto& [who, piece] : seeder.remove_peer(peer(number))) {
      if (who == peer(21)) CHECK(more.insert(piece).second);
    }
  }
  CHECK(first.count() + more.size() == 60);
}

TEST_CASE("super-seeding: to those who come when all the others have gone everything is new") {
  constexpr uint32_t pieces = 60;
  SuperSeeder seeder(pieces);
  for (int wave = 0; wave < 2; ++wave) {
    (void)shown_to(seeder, 1, pieces);
    (void)shown_to(seeder, 2, pieces);
    (void)seeder.took(peer(1), 0, true);
    const auto late = shown_to(seeder, 3, pieces);
    CHECK(late.count() == SuperSeeder::shown_at_a_time(3));
    for (PieceIndex piece = 1; piece < pieces; ++piece) (void)seeder.took(peer(1), piece, true);
    for (uint8_t number = 1; number <= 3; ++number) (void)seeder.remove_peer(peer(number));
  }
}

TEST_CASE("an only peer is shown a huge blob at once, and a second one in a moment") {
  constexpr uint32_t pieces = 500'000;  // what looks at all of them for each of them takes minutes
  SuperSeeder seeder(pieces);
  CHECK(seeder.add_peer(peer(1), Bitfield(pieces)).all());
  CHECK(seeder.add_peer(peer(2), Bitfield(pieces)).count() == SuperSeeder::shown_at_a_time(2));
  for (PieceIndex piece = 0; piece < pieces; ++piece) {
    seeder.begins(peer(1), piece);
    seeder.took(peer(1), piece, true);
  }
  CHECK(seeder.remove_peer(peer(1)).size() > pieces / 2);  // the second one is the only one now
}
