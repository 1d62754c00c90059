#include "unit/p2p/engine_stage.h"

#include "p2p/message.h"

// What was asked of a busy peer goes to one that has nothing to do.

namespace krakend::test {
namespace {

constexpr const char* ns = "library/alpine";
constexpr const char* busy_id = "1111111111111111111111111111111111111111";
constexpr const char* idle_id = "2222222222222222222222222222222222222222";
constexpr uint64_t piece_length = 5 * MiB;  // seven of them are more than is asked for at first
constexpr uint32_t pieces = 10;
constexpr uint64_t rate = 1'000'000'000;  // so that what is asked of one peer is no long queue

p2p::EngineOptions deep() {
  p2p::EngineOptions options;
  options.pipeline_limit = pieces;
  return options;
}

/// An engine that fetches a blob which nobody ever sends.
struct Waiting : EngineStage {
  Waiting() : EngineStage("3333333333333333333333333333333333333333", deep()) {
    auto made = MetaInfo::make(digest, pieces * piece_length, piece_length, std::vector<uint32_t>(pieces));
    REQUIRE(made);
    tracker.known.emplace(digest, *made);
  }
  std::unique_ptr<RawPeer> accept_as(const char* id, io::Listener& listener) {
    auto peer = accept(listener);
    peer->read_frame();
    p2p::Handshake handshake{
        tracker.known.at(digest).info_hash(), digest, *PeerId::parse(id), Bitfield(pieces, true), "", {}};
    handshake.extension = p2p::extension_version;
    handshake.load = p2p::Load{0, rate};
    peer->send(p2p::encode_frame(handshake));
    return peer;
  }
  void report(RawPeer& peer, uint64_t queued) {
    peer.send(p2p::encode_frame(p2p::LoadReport{{queued, rate}}));
  }
  template <class Wanted>
  Wanted next(RawPeer& peer) {
    while (true) {
      const std::string frame = peer.read_frame();
      auto message = p2p::decode_message(std::string_view(frame).substr(4));
      REQUIRE(message);
      if (const auto* wanted = std::get_if<Wanted>(&*message)) return *wanted;
    }
  }
  const Digest digest = Digest::of("never sent");
};

TEST_CASE("engine: a request moves from a peer with a long queue to one that has nothing to do") {
  Waiting stage;
  auto busy_at = stage.listen(busy_id);
  const auto opened = run(stage.loop, stage.engine->open(ns, stage.digest));
  REQUIRE(opened);
  auto busy = stage.accept_as(busy_id, *busy_at);
  uint32_t last = 0;
  for (int i = 0; i < 8; ++i) last = stage.next<p2p::PieceRequest>(*busy).index;
  stage.report(*busy, 8 * piece_length);
  auto idle_at = stage.listen(idle_id);
  auto idle = stage.accept_as(idle_id, *idle_at);
  stage.report(*idle, 0);
  CHECK(stage.next<p2p::CancelPiece>(*busy).index == last);
  // Which one it asks for is the picker's choice: the one that was taken back, or one of the last two.
  CHECK(stage.next<p2p::PieceRequest>(*idle).index < pieces);
}

}  // namespace
}  // namespace krakend::test
