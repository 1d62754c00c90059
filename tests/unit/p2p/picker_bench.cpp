#include <chrono>
#include <cstdio>
#include <random>
#include <vector>

#include "krakend/io/clock.h"
#include "krakend/io/loop.h"
#include "krakend/io/system.h"
#include "p2p/piece_picker.h"
#include "support/catch.h"

// Prints what the picker costs for each message of a large swarm; hidden, because numbers are not asserted.
// krakend_test_p2p "[bench]" runs it.

namespace krakend::test {
namespace {

constexpr uint32_t pieces = 20'000;
constexpr size_t peers = 50;

Bitfield part_of(std::mt19937_64& random, unsigned percent) {
  Bitfield field(pieces);
  for (uint32_t index = 0; index < pieces; ++index) {
    if (random() % 100 < percent) field.set(index);
  }
  return field;
}

/// A download from start to end: each arrival is a message, each peer announces what it gets.
void measure(const io::Clock& clock, unsigned percent) {
  std::mt19937_64 random(percent);
  p2p::PiecePicker picker{Bitfield(pieces)};
  std::vector<Bitfield> have;
  for (size_t i = 0; i < peers; ++i) {
    have.push_back(i == 0 ? Bitfield(pieces, true) : part_of(random, percent));
    picker.add_peer(have.back());
  }
  uint64_t messages = 0;
  const auto start = clock.now();
  for (uint32_t arrived = 0; arrived < pieces; ++messages) {
    const auto& from = have[random() % peers];
    if (!picker.interested(from)) continue;
    const auto piece = picker.pick(from, random());
    picker.mark_requested(*piece);
    picker.mark_have(*piece);
    ++arrived;
    for (int announced = 0; announced < 2; ++announced, ++messages) {
      auto& peer = have[random() % peers];
      const auto index = static_cast<PieceIndex>(random() % pieces);
      if (peer.set(index)) picker.add_piece(index);
    }
  }
  const std::chrono::duration<double, std::micro> took = clock.now() - start;
  std::printf("picker, peers with %u %% of %u pieces: %.2f us a message\n", percent, pieces,
              took.count() / static_cast<double>(messages));
}

TEST_CASE("picker: 20 000 pieces, 50 peers", "[.][bench]") {
  io::Loop loop;
  const auto clock = io::make_system_clock(loop);
  for (const unsigned percent : {5U, 50U, 95U}) measure(*clock, percent);
}

}  // namespace
}  // namespace krakend::test
