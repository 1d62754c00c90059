#include <limits>
#include <map>
#include <random>
#include <set>

#include "krakend/core/units.h"
#include "p2p/backlog.h"
#include "p2p/meter.h"
#include "p2p/peer_backoff.h"
#include "p2p/piece_picker.h"
#include "p2p/request_budget.h"
#include "p2p/request_table.h"
#include "p2p/seldom.h"
#include "p2p/source_chooser.h"
#include "support/catch.h"
#include "unit/p2p/numbered_peer.h"

using namespace krakend;
using namespace krakend::p2p;
using krakend::test::peer;

namespace {

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
  picker.set_cursor(1, 40);
  CHECK(picker.pick(all, 2) == 40u);
  picker.mark_requested(40);
  CHECK(picker.pick(all, 2) == 41u);
  picker.release(40);
  CHECK(picker.pick(all, 2) == 40u);
}

TEST_CASE("picker serves several readers at different places") {
  PiecePicker picker{Bitfield(100)};
  const Bitfield all(100, true);
  picker.add_peer(all);
  picker.set_cursor(1, 10);
  picker.set_cursor(2, 70);
  std::set<PieceIndex> near;
  for (uint64_t draw = 0; draw < 16; draw += 2) near.insert(*picker.pick(all, draw));
  CHECK(near == std::set<PieceIndex>{10, 70});
  CHECK(picker.wanted_by(2) == 70u);
  picker.set_cursor(3, 10);
  CHECK(picker.wanted() == std::vector<PieceIndex>{10, 70});
  picker.drop_cursor(3);
  picker.mark_requested(70);
  CHECK(picker.wanted() == std::vector<PieceIndex>{10});
  picker.remove_peer(all);
  CHECK(picker.wanted().empty());
  picker.add_peer(all);
  CHECK_FALSE(picker.wanted_by(2));
  picker.drop_cursor(2);
  CHECK_FALSE(picker.wanted_by(2));
  for (uint64_t draw = 0; draw < 16; draw += 2) CHECK(picker.pick(all, draw) == 10u);
}

TEST_CASE("request table: lost peers free their pieces, endgame asks once more") {
  RequestTable table;
  const TimePoint start{};
  table.add(peer(1), 7, start);
  table.add(peer(1), 8, start + 1s);
  table.add(peer(2), 8, start + 2s);
  CHECK(table.outstanding(peer(1)) == 2);
  CHECK(table.oldest(peer(1)) == start);
  CHECK(table.overdue_for(peer(2), Bitfield(10, true), Bitfield(10), start + 5s, 1s) == 7u);
  CHECK_FALSE(table.overdue_for(peer(1), Bitfield(10, true), Bitfield(10), start + 5s, 1s));
  CHECK_FALSE(table.overdue_for(peer(2), Bitfield(10, true), Bitfield(10), start + 500ms, 1s));
  CHECK_FALSE(table.overdue_for(peer(2), Bitfield(10, true), Bitfield(10, true), start + 5s, 1s));
  CHECK(table.any_overdue(Bitfield(10), start + 5s, 1s));
  CHECK_FALSE(table.any_overdue(Bitfield(10), start + 500ms, 1s));
  CHECK_FALSE(table.any_overdue(Bitfield(10, true), start + 5s, 1s));
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

TEST_CASE("backoff: a busy peer names its pause, within reason, and it does not grow") {
  PeerBackoff backoff(30s);
  const TimePoint now{};
  for (int i = 0; i < 5; ++i) CHECK(backoff.busy(peer(1), now, 2s) == 2s);
  CHECK_FALSE(backoff.allowed(peer(1), now + 1999ms));
  CHECK(backoff.allowed(peer(1), now + 2s));
  CHECK(backoff.busy(peer(2), now, 1h) == 30s);
  CHECK(backoff.busy(peer(3), now, Duration{0}) == PeerBackoff::first_pause);
  CHECK(backoff.refused(peer(1), now) == PeerBackoff::first_pause);
}

TEST_CASE("backoff: wrong bytes are never forgiven, and neither is a host of several liars") {
  PeerBackoff backoff(30s);
  const TimePoint now{};
  const auto long_after = now + std::chrono::hours(1000);
  backoff.ban(peer(1), "10.0.0.1");
  backoff.ban(peer(1), "10.0.0.1");
  backoff.succeeded(peer(1));
  backoff.fault(peer(1), now);
  CHECK_FALSE(backoff.allowed(peer(1), long_after));
  CHECK(backoff.is_faulty(peer(1), long_after));
  CHECK(backoff.is_banned(peer(1)));
  CHECK_FALSE(backoff.is_banned_host("10.0.0.1"));
  backoff.ban(peer(2), "10.0.0.1");
  CHECK_FALSE(backoff.is_banned_host("10.0.0.1"));
  backoff.ban(peer(3), "10.0.0.1");
  CHECK(backoff.is_banned_host("10.0.0.1"));
  CHECK_FALSE(backoff.is_banned_host("10.0.0.2"));
  CHECK(backoff.list(now).size() == 3);
  backoff.clear();
  CHECK(backoff.allowed(peer(1), now));
}

TEST_CASE("backoff: without a blacklist pauses stay short, bans stay") {
  PeerBackoff backoff(30s, true);
  const TimePoint now{};
  for (int i = 0; i < 5; ++i) CHECK(backoff.refused(peer(1), now) == PeerBackoff::first_pause);
  CHECK(backoff.fault(peer(2), now) == PeerBackoff::first_pause);
  backoff.configure(10s, false);
  CHECK(backoff.fault(peer(2), now) == 10s);
  CHECK(backoff.list(now + 9s) == std::vector<std::pair<PeerId, Duration>>{{peer(2), 1s}});
}

TEST_CASE("backoff: as many peers as come take no more than so much memory") {
  const Metrics metrics;
  PeerBackoff backoff(30s, false, metrics.counter({"crowded_total", "Forgotten"}));
  const TimePoint now{};
  std::mt19937_64 random(1);
  for (size_t i = 0; i < 2 * PeerBackoff::max_entries; ++i) {
    std::array<uint8_t, 20> bytes{};
    for (auto& byte : bytes) byte = static_cast<uint8_t>(random());
    backoff.refused(PeerId(bytes), now);
  }
  CHECK(backoff.list(now).size() == PeerBackoff::max_entries);
  CHECK(backoff.size() == PeerBackoff::max_entries);
  CHECK_THAT(metrics.text(),
             Catch::Matchers::Contains(fmt::format("krakend_crowded_total {}\n", PeerBackoff::max_entries)));
}

TEST_CASE("remarks: one a minute and host, of so many hosts") {
  Seldom remarks;
  const TimePoint now{};
  CHECK(remarks.allows("a", now));
  CHECK_FALSE(remarks.allows("a", now + 59s));
  CHECK(remarks.allows("a", now + 60s));
  for (size_t i = 1; i < Seldom::max_hosts; ++i) CHECK(remarks.allows(std::to_string(i), now + 60s));
  CHECK_FALSE(remarks.allows("b", now + 60s));
  CHECK(remarks.allows("b", now + 120s));
}

TEST_CASE("meter: bytes a second, smoothed") {
  Meter meter;
  const TimePoint now = TimePoint{} + 1h;
  meter.look(500, now);
  CHECK(meter.rate() == Approx(0));
  meter.look(1500, now + 1s);
  CHECK(meter.rate() == Approx(1000));
  meter.look(1500, now + 2s);
  CHECK(meter.rate() == Approx(500));
}

TEST_CASE("picker: rarity of what is missing, and any piece where rare ones are not preferred") {
  PiecePicker picker{Bitfield(4)};
  Bitfield one(4);
  one.set(1);
  picker.add_peer(one);
  picker.add_peer(Bitfield(4, true));
  CHECK(picker.rarity() == std::vector<uint32_t>{0, 3, 1});
  picker.mark_have(0);
  CHECK(picker.rarity() == std::vector<uint32_t>{0, 2, 1});
  std::set<PieceIndex> rare;
  std::set<PieceIndex> any;
  for (uint64_t draw = 0; draw < 200; ++draw) rare.insert(*picker.pick(Bitfield(4, true), draw));
  picker.prefer_rare(false);
  for (uint64_t draw = 0; draw < 200; ++draw) any.insert(*picker.pick(Bitfield(4, true), draw));
  CHECK(rare == std::set<PieceIndex>{2, 3});
  CHECK(any == std::set<PieceIndex>{1, 2, 3});
}

TEST_CASE("budget: what may be outstanding follows the rate, and a few requests always may") {
  RequestBudget budget;
  const uint64_t piece = 4 * MiB;
  TimePoint now{1h};
  for (int i = 0; i < 8; ++i) {
    CHECK(budget.allows(piece));
    budget.requested(piece, now);
  }
  CHECK_FALSE(budget.allows(piece));
  budget.ended(piece);
  CHECK(budget.allows(piece));

  // 25 MB/s: a tenth of a second is less than a piece.
  for (int i = 0; i < 100; ++i) budget.arrived(250'000, now += 10ms);
  CHECK(budget.rate() > 20e6);
  CHECK(budget.rate() < 30e6);
  CHECK(budget.limit() < piece);
  CHECK(budget.allows(piece));
  budget.requested(piece, now);
  CHECK_FALSE(budget.allows(piece));
  for (int i = 0; i < 8; ++i) budget.ended(piece);
  CHECK(budget.outstanding() == 0);

  // A pause shorter than the memory does not shrink it, a long one makes it begin anew.
  const uint64_t before = budget.limit();
  budget.arrived(1, now += 1s);
  CHECK(budget.limit() == before);
}

TEST_CASE("budget: a process begins with a few requests, and anew after two seconds without a byte") {
  RequestBudget budget;
  const uint64_t piece = 4 * MiB;
  TimePoint now{1h};
  for (uint64_t i = 0; i < RequestBudget::first_few; ++i) {
    CHECK(budget.begins(now));
    budget.requested(piece, now);
  }
  CHECK_FALSE(budget.begins(now));
  for (uint64_t i = 0; i < RequestBudget::first_few; ++i) {
    budget.arrived(piece, now);
    budget.ended(piece);
  }
  CHECK_FALSE(budget.begins(now + RequestBudget::pause));
  now += RequestBudget::pause + 1ms;
  CHECK(budget.begins(now));
  for (uint64_t i = 0; i < RequestBudget::first_few; ++i) budget.requested(piece, now);
  // What has been asked for and does not come is no new beginning.
  CHECK_FALSE(budget.begins(now + 1min));
}

TEST_CASE("sources: the one that is expected to deliver first") {
  CHECK_FALSE(choose_source({}));
  CHECK(*choose_source({{10, 0.5}, {11, 0.1}, {12, 0.1}}) == 11);
  CHECK(guessed_wait(0.5, 0, 0) == 0.5);
  CHECK(guessed_wait(0.1, 1, 0.9) == 1.8);
}

TEST_CASE("sources: what a peer told that it has to send drains at its rate") {
  ToldLoad load;
  const TimePoint now{1h};
  CHECK_FALSE(load.queued(now));
  load.tell({10 * MiB, 4 * MiB}, now);
  CHECK(*load.queued(now) == 10 * MiB);
  CHECK(*load.queued(now + 2s) == 2 * MiB);
  CHECK(*load.queued(now + 1min) == 0);
  CHECK(load.rate() == 4 * MiB);
  constexpr uint64_t endless = std::numeric_limits<uint64_t>::max();
  load.tell({endless, endless}, now);
  CHECK(*load.queued(now) == ToldLoad::most);
  CHECK(*load.queued(now + 1h) == 0);
  CHECK(load.rate() == ToldLoad::most);
  load.tell({endless, 0}, now);
  CHECK(*load.queued(now + 1h) == ToldLoad::most);
}

TEST_CASE("backlog: what is asked for and not sent, and what leaves at best") {
  io::Loop loop;
  Backlog backlog(loop);
  TimePoint now{1h};
  backlog.asked_for(4 * MiB);
  backlog.asked_for(4 * MiB);
  backlog.dropped(4 * MiB);
  CHECK(backlog.load() == Load{4 * MiB, 0});
  const auto send = [&](int seconds, uint64_t each) {
    for (int i = 0; i < 100 * seconds; ++i) backlog.sent(each, now += 10ms);
  };
  backlog.asked_for(1000 * MiB);
  send(2, 1 * MiB);
  const double full = 100.0 * MiB;
  CHECK(static_cast<double>(backlog.load().rate) == Approx(full).epsilon(0.05));
  CHECK_FALSE(backlog.has_spare(now));
  // Slower, although there is something to send: that is what it can do now.
  send(10, 100 * KiB);
  CHECK(static_cast<double>(backlog.load().rate) < 0.3 * full);
  // Asked for less: that says nothing of the link.
  const auto before = backlog.load().rate;
  backlog.dropped(1000 * MiB);
  send(10, 10 * KiB);
  CHECK(backlog.load().rate == before);
  CHECK(backlog.has_spare(now));
}

TEST_CASE("sources: a peer's time for a piece is smoothed") {
  PieceTimes times;
  TimePoint now{1h};
  CHECK_FALSE(times.seconds());
  times.began(now);
  times.arrived(now += 1s);
  CHECK(*times.seconds() == 1.0);
  times.arrived(now += 100ms);
  CHECK(*times.seconds() > 0.1);
  CHECK(*times.seconds() < 1.0);
  for (int i = 0; i < 30; ++i) times.arrived(now += 100ms);
  CHECK(*times.seconds() < 0.11);

  // A queue that made it slow drains while nothing is asked for.
  for (int i = 0; i < 30; ++i) times.arrived(now += 2s);
  CHECK(*times.expected(now) > 1.9);
  CHECK(*times.expected(now + 1s) == Approx(*times.expected(now) - 1));
  CHECK(*times.expected(now + 1min) == Approx(0.1));
}

TEST_CASE("sources: a deadline is at least a second and follows what peer and link can do") {
  CHECK(request_deadline(0.01, 0, 0) == 1s);
  CHECK(request_deadline(1.9, 0, 0) == 6s);
  CHECK(request_deadline(0.9, 100 * MiB, 100.0 * MiB) == 6s);
  CHECK(request_deadline(1000, 0, 0) == 1min);
}
