#include "unit/p2p/engine_stage.h"

#include "krakend/io/task_group.h"
#include "p2p/message.h"

// Of whom an engine asks for what: at first, and when a peer that has been asked is busy.

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
  std::unique_ptr<RawPeer> accept_as(const char* id, io::Listener& listener,
                                     Bitfield have = Bitfield(pieces, true), uint64_t queued = 0) {
    auto peer = accept(listener);
    peer->read_frame();
    p2p::Handshake handshake{
        tracker.known.at(digest).info_hash(), digest, *PeerId::parse(id), std::move(have), "", {}};
    handshake.extension = p2p::extension_version;
    handshake.load = p2p::Load{queued, rate};
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

Task<> wait_for_beginning(io::ContentPtr content) {
  (void)co_await content->ready(0);
}

/// With a reader at the beginning: what is asked for first of two peers that have the beginning, of which one
/// is too busy to be asked and the other one has `more` besides.
PieceIndex first_request(PieceIndex more, bool others_lack_pieces) {
  Waiting stage;
  Bitfield beginning(pieces);
  beginning.set(0);
  Bitfield besides = others_lack_pieces ? beginning : Bitfield(pieces, true);
  besides.set(more);
  auto busy_at = stage.listen(busy_id);
  const auto opened = run(stage.loop, stage.engine->open(ns, stage.digest));
  REQUIRE(opened);
  io::TaskGroup readers(stage.loop);
  readers.spawn(wait_for_beginning(opened->content), "reader");
  const auto busy = stage.accept_as(busy_id, *busy_at, others_lack_pieces ? beginning : besides, rate);
  auto idle_at = stage.listen(idle_id);
  const auto idle = stage.accept_as(idle_id, *idle_at, besides);
  const PieceIndex first = stage.next<p2p::PieceRequest>(*idle).index;
  run(stage.loop, readers.stop());
  return first;
}

TEST_CASE("engine: a newcomer among others that lack pieces begins with what few have") {
  CHECK(first_request(7, true) == 7);
}

TEST_CASE("engine: where nobody else lacks anything a reader comes first") {
  CHECK(first_request(7, false) == 0);
}

}  // namespace
}  // namespace krakend::test
