#include <set>

#include "p2p/message.h"
#include "unit/p2p/engine_stage.h"

// Who has much to send sends requests back; who asked goes elsewhere, or asks again a little later.

namespace krakend::test {
namespace {

constexpr const char* ns = "library/alpine";
constexpr uint64_t rate = 1'000'000'000;

p2p::Message next(RawPeer& peer) {
  const std::string frame = peer.read_frame();
  auto message = p2p::decode_message(std::string_view(frame).substr(4));
  REQUIRE(message);
  return *message;
}

p2p::Handshake handshake_of(const MetaInfo& info, std::string_view id, bool has_all) {
  p2p::Handshake handshake{
      info.info_hash(), info.digest(), *PeerId::parse(id), Bitfield(info.piece_count(), has_all), ns, {}};
  handshake.extension = p2p::extension_version;
  return handshake;
}

/// A seeder, and somebody who asks for ten pieces at once and reads only when told to.
struct Asked : EngineStage {
  // More than the sockets on the way take.
  static constexpr uint64_t piece_length = 12 * MiB;
  static constexpr uint32_t pieces = 10;
  explicit Asked(uint32_t extension) : EngineStage("0000000000000000000000000000000000000001") {
    const auto digest = put(std::string(pieces * piece_length, 'x'), piece_length);
    info = *run(loop, store.metainfo(digest));
    peer = connect_as("0000000000000000000000000000000000000002", extension);
    std::string all;
    for (uint32_t piece = 0; piece < pieces; ++piece) all += request(piece);
    peer->send(all);
  }
  std::unique_ptr<RawPeer> connect_as(std::string_view id, uint32_t extension) {
    auto connected = dial();
    auto handshake = handshake_of(info, id, false);
    handshake.extension = extension;
    connected->send(p2p::encode_frame(handshake));
    (void)next(*connected);
    return connected;
  }
  static std::string request(PieceIndex piece) {
    return p2p::encode_frame(p2p::PieceRequest{piece, 0, static_cast<uint32_t>(piece_length)});
  }
  MetaInfo info;
  std::unique_ptr<RawPeer> peer;
};

TEST_CASE("declined: a request behind more than five pieces comes back") {
  Asked seeder(p2p::extension_version);
  std::vector<PieceIndex> declined;
  std::set<PieceIndex> sent;
  uint64_t bytes = 0;
  while (bytes < 6 * Asked::piece_length || declined.size() < 4) {
    const auto message = next(*seeder.peer);
    if (const auto* cancel = std::get_if<p2p::CancelPiece>(&message)) {
      declined.push_back(cancel->index);
      REQUIRE(cancel->load);
      CHECK(cancel->load->queued > 5 * Asked::piece_length);
    }
    if (const auto* payload = std::get_if<p2p::PiecePayload>(&message)) {
      sent.insert(payload->index);
      seeder.peer->read(payload->length);
      bytes += payload->length;
    }
  }
  CHECK(declined == std::vector<PieceIndex>{6, 7, 8, 9});
  CHECK(sent == std::set<PieceIndex>{0, 1, 2, 3, 4, 5});
}

TEST_CASE("declined: not for ever, though others do not take what they have asked for") {
  Asked seeder(p2p::extension_version);
  const auto other = seeder.connect_as("0000000000000000000000000000000000000003", p2p::extension_version);
  const TimePoint began = seeder.clock->now();
  unsigned declined = 0;
  while (true) {
    other->send(Asked::request(0));
    const auto message = next(*other);
    if (std::holds_alternative<p2p::PiecePayload>(message)) break;
    if (std::holds_alternative<p2p::CancelPiece>(message)) ++declined;
  }
  CHECK(declined > 0);
  CHECK(seeder.clock->now() - began >= 900ms);
}

TEST_CASE("declined: neighbours are told of the load when it has changed") {
  Asked seeder(p2p::extension_version);
  const auto other = seeder.connect_as("0000000000000000000000000000000000000003", p2p::extension_version);
  for (uint64_t bytes = 0; bytes < Asked::piece_length;) {
    const auto message = next(*seeder.peer);
    const auto* payload = std::get_if<p2p::PiecePayload>(&message);
    if (payload == nullptr) continue;
    seeder.peer->read(payload->length);
    bytes += payload->length;
  }
  p2p::Message told = next(*other);
  const auto* report = std::get_if<p2p::LoadReport>(&told);
  REQUIRE(report);
  CHECK(report->load.queued >= 3 * Asked::piece_length);
}

TEST_CASE("declined: neighbours are told of the load when what the handshake said of it is over") {
  Asked seeder(0);
  const auto queued = [&] {
    const auto peers = seeder.engine->torrent(seeder.info.digest())->peers;
    return !peers.empty() && peers[0].requests_of_peer >= Asked::pieces - 1;
  };
  REQUIRE(run(seeder.loop, EngineStage::holds(*seeder.clock, queued)));
  auto other = seeder.dial();
  other->send(
      p2p::encode_frame(handshake_of(seeder.info, "0000000000000000000000000000000000000003", false)));
  const auto hello = next(*other);
  REQUIRE(std::get<p2p::Handshake>(hello).load);
  CHECK(std::get<p2p::Handshake>(hello).load->queued > 5 * Asked::piece_length);
  SECTION("after nothing else") {}
  SECTION("after a refusal, which says it again") {
    other->send(Asked::request(0));
    const auto refusal = next(*other);
    REQUIRE(std::holds_alternative<p2p::CancelPiece>(refusal));
    CHECK(std::get<p2p::CancelPiece>(refusal).load->queued > 5 * Asked::piece_length);
  }
  SECTION("though the other peer stays, and takes nothing") {
    p2p::Message told = next(*other);
    CHECK(std::get<p2p::LoadReport>(told).load.queued == 0);
    return;
  }
  seeder.peer.reset();
  p2p::Message told = next(*other);
  CHECK(std::get<p2p::LoadReport>(told).load.queued == 0);
}

TEST_CASE("declined: nothing that a peer of the reference asks for") {
  Asked seeder(0);
  for (uint32_t piece = 0; piece < Asked::pieces; ++piece) {
    const auto message = next(*seeder.peer);
    const auto* payload = std::get_if<p2p::PiecePayload>(&message);
    REQUIRE(payload);
    CHECK(payload->index == piece);
    seeder.peer->read(payload->length);
  }
}

/// A leecher of a blob that nobody sends.
struct Leecher : EngineStage {
  Leecher() : EngineStage("3333333333333333333333333333333333333333") {
    const auto digest = Digest::of("never sent");
    const auto made = MetaInfo::make(digest, MiB, MiB, std::vector<uint32_t>(1));
    REQUIRE(made);
    tracker.known.emplace(digest, *made);
    info = *made;
  }
  /// It says so of its load.
  std::unique_ptr<RawPeer> accept_as(std::string_view id, io::Listener& listener,
                                     p2p::Load load = {0, rate}) {
    auto peer = accept(listener);
    peer->read_frame();
    auto handshake = handshake_of(info, id, true);
    handshake.ns.clear();
    handshake.load = load;
    peer->send(p2p::encode_frame(handshake));
    return peer;
  }
  static PieceIndex next_request(RawPeer& peer) {
    while (true) {
      const auto message = next(peer);
      if (const auto* request = std::get_if<p2p::PieceRequest>(&message)) return request->index;
    }
  }
  MetaInfo info;
};

TEST_CASE("declined: whoever has nothing in the end asks though all say that they are busy") {
  constexpr const char* busy_id = "1111111111111111111111111111111111111111";
  Leecher leecher;
  auto busy_at = leecher.listen(busy_id);
  const auto opened = run(leecher.loop, leecher.engine->open(ns, leecher.info.digest()));
  REQUIRE(opened);
  auto load = GENERATE(p2p::Load{1'000'000'000'000'000, rate}, p2p::Load{1'000'000'000'000'000, 0});
  auto busy = leecher.accept_as(busy_id, *busy_at, load);
  const TimePoint began = leecher.clock->now();
  CHECK(Leecher::next_request(*busy) == 0);
  CHECK(leecher.clock->now() - began >= 500ms);
}

TEST_CASE("declined: the piece is asked for elsewhere, or here again") {
  constexpr const char* busy_id = "1111111111111111111111111111111111111111";
  constexpr const char* other_id = "2222222222222222222222222222222222222222";
  Leecher leecher;
  auto busy_at = leecher.listen(busy_id);
  const auto opened = run(leecher.loop, leecher.engine->open(ns, leecher.info.digest()));
  REQUIRE(opened);
  auto busy = leecher.accept_as(busy_id, *busy_at);
  CHECK(Leecher::next_request(*busy) == 0);
  SECTION("here, when it has less to do") {
    busy->send(p2p::encode_frame(p2p::CancelPiece{0, p2p::Load{80'000'000, rate}}));
    CHECK(Leecher::next_request(*busy) == 0);
  }
  SECTION("elsewhere") {
    auto other_at = leecher.listen(other_id);
    auto other = leecher.accept_as(other_id, *other_at);
    busy->send(p2p::encode_frame(p2p::CancelPiece{0, p2p::Load{1'000'000'000'000, rate}}));
    CHECK(Leecher::next_request(*other) == 0);
  }
}

}  // namespace
}  // namespace krakend::test
