#include "p2p/message.h"
#include "unit/p2p/engine_stage.h"

// An origin that shows each peer other pieces does not send one again while others wait for what nobody has.

namespace krakend::test {
namespace {

constexpr uint64_t piece_length = 16;
constexpr uint32_t pieces = 60;

p2p::EngineOptions slow() {
  p2p::EngineOptions options;
  options.limit_bandwidth = true;
  options.egress_bits_per_sec = 160;  // nearly a second for each piece but the first
  return options;
}

struct Origin : EngineStage {
  Origin() : EngineStage("0000000000000000000000000000000000000001", slow(), true) {
    info = *run(loop, store.metainfo(put(std::string(pieces * piece_length, 'x'), piece_length)));
  }
  /// A peer, and what it is shown.
  std::pair<std::unique_ptr<RawPeer>, Bitfield> connect_as(unsigned number, bool extension) {
    auto peer = dial();
    p2p::Handshake handshake{info.info_hash(), info.digest(), *PeerId::parse(fmt::format("{:040x}", number)),
                             Bitfield(pieces), "ns",          {}};
    handshake.extension = extension ? p2p::extension_version : 0;
    peer->send(p2p::encode_frame(handshake));
    const auto reply = std::get<p2p::Handshake>(next(*peer));
    return {std::move(peer), reply.have};
  }
  static p2p::Message next(RawPeer& peer) {
    const std::string frame = peer.read_frame();
    auto message = p2p::decode_message(std::string_view(frame).substr(4));
    REQUIRE(message);
    return *message;
  }
  static p2p::PieceError next_refusal(RawPeer& peer) {
    while (true) {
      const auto message = next(peer);
      if (const auto* refusal = std::get_if<p2p::PieceError>(&message)) return *refusal;
    }
  }
  static void ask(RawPeer& peer, PieceIndex piece) {
    peer.send(p2p::encode_frame(p2p::PieceRequest{piece, 0, piece_length}));
  }
  /// Asks for a piece, and reads until it begins to come.
  static void take(RawPeer& peer, PieceIndex piece) {
    ask(peer, piece);
    while (true) {
      const auto message = next(peer);
      if (const auto* payload = std::get_if<p2p::PiecePayload>(&message)) {
        CHECK(payload->index == piece);
        break;
      }
    }
  }
  MetaInfo info;
};

PieceIndex first_of(const Bitfield& field) {
  PieceIndex piece = 0;
  while (!field.test(piece)) ++piece;
  return piece;
}

TEST_CASE("super-seeding: a piece that goes to one peer is refused to another, which may insist") {
  Origin origin;
  auto [first, all] = origin.connect_as(0x100, true);
  auto [second, shown] = origin.connect_as(0x101, true);
  REQUIRE(all.all());
  REQUIRE(shown.count() < pieces);
  const PieceIndex piece = first_of(shown);
  SECTION("asked for afterwards") {
    Origin::take(*first, piece);
    Origin::ask(*second, piece);
    CHECK(Origin::next_refusal(*second).index == piece);
    Origin::take(*second, piece);
  }
  SECTION("waiting behind another one") {
    const PieceIndex other = piece + 1;
    REQUIRE(shown.test(other));
    REQUIRE_FALSE(shown.test(pieces - 1));
    Origin::take(*first, pieces - 1);
    first->read(piece_length);
    Origin::take(*second, other);
    Origin::ask(*second, piece);
    Origin::take(*first, piece);
    second->read(piece_length);
    CHECK(Origin::next_refusal(*second).index == piece);
  }
}

TEST_CASE("super-seeding: a reference peer is shown everything, and refused nothing") {
  Origin origin;
  auto [first, all] = origin.connect_as(0x100, true);
  auto [second, shown] = origin.connect_as(0x101, false);
  CHECK(shown.all());
  Origin::take(*first, 0);
  Origin::take(*second, 0);
}

}  // namespace
}  // namespace krakend::test
