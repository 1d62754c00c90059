#include "unit/p2p/engine_stage.h"
#include "unit/p2p/recorded_streams.h"

// The engine against what reference peers have said on the wire, byte for byte, and against peers that
// misbehave.

namespace krakend::test {
namespace {

constexpr uint32_t piece_length = 1024;
constexpr size_t blob_length = 2605;
constexpr const char* ns = "lib/cap1";

const RecordedStream& agent_to_origin() {
  static const RecordedStream stream = recorded_streams()[0];
  return stream;
}

p2p::Handshake handshake_of(std::string_view stream) {
  return std::get<p2p::Handshake>(split_frames(stream).front().message);
}

/// What a frame with its length prefix says.
p2p::Message decode(std::string_view frame) {
  auto message = p2p::decode_message(frame.substr(4));
  REQUIRE(message);
  return std::move(*message);
}

/// A stage that is to fetch the recorded blob, and what its peers need to say.
struct Leecher : EngineStage {
  explicit Leecher(p2p::EngineOptions options = {})
      : EngineStage(handshake_of(agent_to_origin().opener).peer_id.hex(), options) {
    EngineStage seeder("0000000000000000000000000000000000000001");
    seeder.put(blob, piece_length);
    tracker.known.emplace(digest, *run(seeder.loop, seeder.store.metainfo(digest)));
  }

  io::ContentPtr open() {
    auto opened = run(loop, engine->open(ns, digest));
    REQUIRE(opened);
    return opened->content;
  }

  /// The handshake of a seeder with this id.
  std::string seeder_handshake(std::string_view peer_id) const {
    p2p::Handshake handshake = handshake_of(agent_to_origin().acceptor);
    handshake.peer_id = *PeerId::parse(peer_id);
    return p2p::encode_frame(handshake);
  }
  /// Takes the engine's call as a seeder with this id.
  std::unique_ptr<RawPeer> accept_as(std::string_view peer_id, io::Listener& listener) {
    auto peer = accept(listener);
    peer->read_frame();
    peer->send(seeder_handshake(peer_id));
    return peer;
  }
  std::string piece(uint32_t index) const { return blob.substr(index * piece_length, piece_length); }
  std::string payload(uint32_t index) const {
    const auto bytes = piece(index);
    return p2p::encode_frame(p2p::PiecePayload{index, 0, static_cast<uint32_t>(bytes.size())}) + bytes;
  }
  /// Serves every request until the blob is whole; returns the pieces asked for.
  std::vector<uint32_t> serve(RawPeer& peer, size_t count) {
    std::vector<uint32_t> asked;
    while (asked.size() < count) {
      const auto message = decode(peer.read_frame());
      if (const auto* request = std::get_if<p2p::PieceRequest>(&message)) {
        CHECK(request->offset == 0);
        CHECK(request->length == piece(request->index).size());
        asked.push_back(request->index);
        peer.send(payload(request->index));
      }
    }
    std::sort(asked.begin(), asked.end());
    return asked;
  }

  const std::string blob = blob_of(agent_to_origin().acceptor, piece_length, blob_length);
  const Digest digest = Digest::of(blob);
};

/// Where two byte strings differ first; their common length when they do not.
size_t first_difference(std::string_view a, std::string_view b) {
  return static_cast<size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin());
}

constexpr const char* first_id = "87243b238f01c65db1d0c161e78b50134a295148";
constexpr const char* second_id = "2222222222222222222222222222222222222222";

TEST_CASE("recorded streams decode to their last byte") {
  for (const auto& stream : recorded_streams()) {
    INFO(stream.title);
    CHECK(split_frames(stream.opener).size() >= 2);
    CHECK(split_frames(stream.acceptor).size() >= 4);
  }
}

TEST_CASE("engine: a recorded opener gets the recorded answer, byte for byte") {
  for (const size_t index : {size_t{0}, size_t{1}}) {
    const auto stream = recorded_streams()[index];
    INFO(stream.title);
    const auto blob = blob_of(stream.acceptor, piece_length, blob_length);
    REQUIRE(Digest::of(blob) == handshake_of(stream.opener).digest);
    EngineStage stage(handshake_of(stream.acceptor).peer_id.hex());
    stage.put(blob, piece_length);
    auto peer = stage.dial();
    peer->send(stream.opener);
    CHECK(first_difference(peer->read(stream.acceptor.size()), stream.acceptor) == stream.acceptor.size());
  }
}

TEST_CASE("engine: as opener it says what the recorded one said, and gets the blob") {
  Leecher stage;
  auto listener = stage.listen(first_id, true);
  const auto content = stage.open();
  auto peer = stage.accept(*listener);
  // What was recorded, and behind it the field that a reference peer skips.
  auto handshake = handshake_of(agent_to_origin().opener);
  CHECK(hex_of(p2p::encode_frame(handshake)) == hex_of(split_frames(agent_to_origin().opener).front().bytes));
  handshake.extension = p2p::extension_version;
  handshake.load = p2p::Load{};
  CHECK(hex_of(peer->read_frame()) == hex_of(p2p::encode_frame(handshake)));
  peer->send(stage.seeder_handshake(first_id));
  CHECK(stage.serve(*peer, 3) == std::vector<uint32_t>{0, 1, 2});
  CHECK(stage.read_all(content) == stage.blob);
  CHECK(run(stage.loop, stage.engine->open(ns, stage.digest))->source == p2p::Source::disk);
}

/// A seeder that speaks the extension and sends a piece in two portions, with something to say in between.
struct PortionSeeder {
  explicit PortionSeeder(Leecher& s) : stage(s), listener(stage.listen(first_id, true)) {
    content = stage.open();
    peer = stage.accept(*listener);
    auto handshake = handshake_of(agent_to_origin().acceptor);
    handshake.peer_id = *PeerId::parse(first_id);
    handshake.extension = std::get<p2p::Handshake>(decode(peer->read_frame())).extension;
    peer->send(p2p::encode_frame(handshake));
  }
  uint32_t next_request() {
    while (true) {
      const auto message = decode(peer->read_frame());
      if (const auto* request = std::get_if<p2p::PieceRequest>(&message)) return request->index;
    }
  }
  void send_portion(uint32_t index, size_t from, size_t to) {
    p2p::PiecePayload header;
    header.index = index;
    header.offset = static_cast<uint32_t>(from);
    header.length = static_cast<uint32_t>(to - from);
    peer->send(p2p::encode_frame(header) + stage.piece(index).substr(from, to - from));
  }

  Leecher& stage;
  std::unique_ptr<io::Listener> listener;
  io::ContentPtr content;
  std::unique_ptr<RawPeer> peer;
};

TEST_CASE("engine: pieces in portions, with other messages between them") {
  Leecher stage;
  PortionSeeder seeder(stage);
  for (int i = 0; i < 3; ++i) {
    const auto index = seeder.next_request();
    seeder.send_portion(index, 0, 100);
    seeder.peer->send(p2p::encode_frame(p2p::LoadReport{{4 * MiB, 25'000'000}}));
    seeder.send_portion(index, 100, 300);
    seeder.send_portion(index, 300, stage.piece(index).size());
  }
  CHECK(stage.read_all(seeder.content) == stage.blob);
}

TEST_CASE(
    "engine: a portion that is not the next one ends the connection, and the piece is asked for elsewhere") {
  Leecher stage;
  PortionSeeder seeder(stage);
  auto honest = stage.listen(second_id);
  const auto index = seeder.next_request();
  SECTION("a hole") {
    seeder.send_portion(index, 0, 100);
    seeder.send_portion(index, 200, 300);
  }
  SECTION("bytes twice") {
    seeder.send_portion(index, 0, 100);
    seeder.send_portion(index, 0, 100);
  }
  SECTION("another piece") {
    seeder.send_portion(index, 0, 100);
    seeder.send_portion((index + 1) % 3, 100, 200);
  }
  SECTION("not from the begin") {
    seeder.send_portion(index, 100, 200);
  }
  CHECK(seeder.peer->closed());
  auto peer = stage.accept_as(second_id, *honest);
  CHECK(stage.serve(*peer, 3) == std::vector<uint32_t>{0, 1, 2});
  CHECK(stage.read_all(seeder.content) == stage.blob);
}

TEST_CASE("engine: a peer that speaks the extension gets portions, a reference peer whole pieces") {
  constexpr uint32_t length = 600 * 1024;
  const std::string blob(length, 'p');
  EngineStage stage(first_id);
  stage.put(blob, length);
  const auto info = *run(stage.loop, stage.store.metainfo(Digest::of(blob)));
  p2p::Handshake handshake{info.info_hash(), info.digest(), *PeerId::parse(second_id), Bitfield(1), ns, {}};
  SECTION("portions, with the load") {
    handshake.extension = p2p::extension_version;
    auto peer = stage.dial();
    peer->send(p2p::encode_frame(handshake) + p2p::encode_frame(p2p::PieceRequest{0, 0, length}));
    CHECK(std::get<p2p::Handshake>(decode(peer->read_frame())).extension == p2p::extension_version);
    std::string got;
    while (got.size() < length) {
      const auto message = decode(peer->read_frame());
      if (std::holds_alternative<p2p::LoadReport>(message)) continue;
      const auto payload = std::get<p2p::PiecePayload>(message);
      CHECK(payload.offset == got.size());
      REQUIRE(payload.load);
      CHECK(payload.load->queued == length - got.size());
      CHECK(payload.length <= 256 * 1024);
      got += peer->read(payload.length);
    }
    CHECK(got == blob);
  }
  SECTION("whole") {
    auto peer = stage.dial();
    peer->send(p2p::encode_frame(handshake) + p2p::encode_frame(p2p::PieceRequest{0, 0, length}));
    const auto reply = std::get<p2p::Handshake>(decode(peer->read_frame()));
    CHECK(reply.extension == 0);
    CHECK_FALSE(reply.load);
    CHECK(hex_of(peer->read_frame()) == hex_of(p2p::encode_frame(p2p::PiecePayload{0, 0, length})));
    CHECK(peer->read(length) == blob);
  }
}

TEST_CASE("engine: without room a peer that speaks the extension is told so, a reference peer is left") {
  constexpr uint32_t length = 1024;
  const std::string blob(length, 'p');
  p2p::EngineOptions options;
  options.max_open_conn = 1;
  EngineStage stage(first_id, options);
  stage.put(blob, length);
  const auto info = *run(stage.loop, stage.store.metainfo(Digest::of(blob)));
  p2p::Handshake handshake{info.info_hash(), info.digest(), *PeerId::parse(second_id), Bitfield(1), ns, {}};
  auto first = stage.dial();
  first->send(p2p::encode_frame(handshake));
  CHECK(std::holds_alternative<p2p::Handshake>(decode(first->read_frame())));
  handshake.peer_id = *PeerId::parse("0000000000000000000000000000000000000077");
  auto reference = stage.dial();
  reference->send(p2p::encode_frame(handshake));
  CHECK(reference->closed());
  handshake.extension = p2p::extension_version;
  auto krakend = stage.dial();
  krakend->send(p2p::encode_frame(handshake));
  CHECK(std::get<p2p::Busy>(decode(krakend->read_frame())).retry == 1s);
  CHECK(krakend->closed());
}

TEST_CASE("engine: a busy peer is called again when it said so, each time") {
  Leecher stage;
  auto listener = stage.listen(first_id);
  const auto content = stage.open();
  for (int i = 0; i < 3; ++i) {
    auto peer = stage.accept(*listener);
    peer->read_frame();
    peer->send(p2p::encode_frame(p2p::Busy{500ms}));
    CHECK(peer->closed());
    const auto left_alone = stage.engine->blacklist();
    REQUIRE(left_alone.size() == 1);
    CHECK(left_alone.front().remaining <= 1s);
  }
  auto peer = stage.accept_as(first_id, *listener);
  stage.serve(*peer, 3);
  CHECK(stage.read_all(content) == stage.blob);
}

TEST_CASE("engine: of two peers that call each other at once the link of the smaller id stays") {
  Leecher stage;
  const std::string smaller(40, '0');
  const std::string larger(40, 'f');
  p2p::Handshake handshake = handshake_of(agent_to_origin().acceptor);
  handshake.ns = ns;

  SECTION("theirs") {
    auto listener = stage.listen(smaller);
    const auto content = stage.open();
    auto called = stage.accept(*listener);
    called->read_frame();
    auto calling = stage.dial();
    handshake.peer_id = *PeerId::parse(smaller);
    calling->send(p2p::encode_frame(handshake));
    CHECK(std::holds_alternative<p2p::Handshake>(decode(calling->read_frame())));
    called->send(p2p::encode_frame(handshake));
    CHECK(called->closed());
    stage.serve(*calling, 3);
    CHECK(stage.read_all(content) == stage.blob);
  }
  SECTION("ours") {
    auto listener = stage.listen(larger);
    const auto content = stage.open();
    auto called = stage.accept(*listener);
    called->read_frame();
    auto calling = stage.dial();
    handshake.peer_id = *PeerId::parse(larger);
    calling->send(p2p::encode_frame(handshake));
    CHECK(calling->closed());
    called->send(p2p::encode_frame(handshake));
    stage.serve(*called, 3);
    CHECK(stage.read_all(content) == stage.blob);
  }
}

TEST_CASE("engine: two readers are one download") {
  Leecher stage;
  auto listener = stage.listen(first_id);
  const auto one = stage.open();
  const auto two = stage.open();
  auto peer = stage.accept_as(first_id, *listener);
  stage.serve(*peer, 3);
  CHECK(stage.read_all(one) == stage.blob);
  CHECK(stage.read_all(two) == stage.blob);
  CHECK(stage.tracker.metainfo_calls == 1);
  CHECK(stage.engine->torrents().size() == 1);
}

TEST_CASE("engine: a piece with wrong bytes is fetched from somebody else, and the liar is dropped") {
  Leecher stage;
  auto lying = stage.listen(first_id);
  const auto content = stage.open();
  auto liar = stage.accept_as(first_id, *lying);
  auto honest = stage.listen(second_id);
  const auto request = std::get<p2p::PieceRequest>(decode(liar->read_frame()));
  auto wrong = stage.payload(request.index);
  wrong.back() = static_cast<char>(wrong.back() ^ 1);
  liar->send(wrong);
  CHECK(liar->closed());
  auto peer = stage.accept_as(second_id, *honest);
  CHECK(stage.serve(*peer, 3) == std::vector<uint32_t>{0, 1, 2});
  CHECK(stage.read_all(content) == stage.blob);
}

TEST_CASE("engine: requests of a peer that leaves go to another one at once") {
  p2p::EngineOptions patient;
  patient.stall_timeout = 10min;  // no timer may be what saves us
  Leecher stage(patient);
  auto leaving = stage.listen(first_id);
  auto staying = stage.listen(second_id);
  const auto content = stage.open();
  auto leaver = stage.accept(*leaving);
  auto stayer = stage.accept(*staying);
  leaver->read_frame();
  stayer->read_frame();
  leaver->send(stage.seeder_handshake(first_id));
  for (int i = 0; i < 3; ++i) leaver->read_frame();  // has asked it for all three
  stayer->send(stage.seeder_handshake(second_id));
  leaver.reset();
  CHECK(stage.serve(*stayer, 3) == std::vector<uint32_t>{0, 1, 2});
  CHECK(stage.read_all(content) == stage.blob);
}

TEST_CASE("engine: a peer that answers with another id, blob or shape is left") {
  Leecher stage;
  auto listener = stage.listen(first_id);
  const auto content = stage.open();
  auto peer = stage.accept(*listener);
  peer->read_frame();

  SECTION("another peer id than the one dialled") {
    peer->send(stage.seeder_handshake(second_id));
  }
  SECTION("another blob") {
    p2p::Handshake handshake = handshake_of(recorded_streams()[2].acceptor);
    handshake.peer_id = *PeerId::parse(first_id);
    peer->send(p2p::encode_frame(handshake));
  }
  SECTION("another number of pieces") {
    p2p::Handshake handshake = handshake_of(agent_to_origin().acceptor);
    handshake.have = Bitfield(4);
    peer->send(p2p::encode_frame(handshake));
  }
  SECTION("no handshake at all") {
    peer->send(p2p::encode_frame(p2p::AnnouncePiece{0}));
  }
  SECTION("a message of over 32 KiB") {
    peer->send(bytes_of("00008001"));
  }
  SECTION("no protobuf") {
    peer->send(bytes_of("00000004ffffffff"));
  }
  CHECK(peer->closed());
  CHECK(stage.engine->torrents().at(0).pieces_have == 0);
}

TEST_CASE("engine: an acceptor refuses a handshake for another torrent of the same blob") {
  EngineStage stage(first_id);
  stage.put(blob_of(agent_to_origin().acceptor, piece_length, blob_length), 512);  // cut otherwise
  auto peer = stage.dial();
  peer->send(agent_to_origin().opener);
  CHECK(peer->closed());
}

TEST_CASE("engine: a piece that is not there is refused with an error, and the connection stays") {
  Leecher stage;
  auto listener = stage.listen(first_id);
  const auto content = stage.open();
  auto source = stage.accept(*listener);
  source->read_frame();
  auto asking = stage.dial();
  p2p::Handshake handshake = handshake_of(agent_to_origin().opener);
  handshake.peer_id = *PeerId::parse(second_id);
  asking->send(p2p::encode_frame(handshake));
  CHECK(std::get<p2p::Handshake>(decode(asking->read_frame())).have.count() == 0);
  asking->send(p2p::encode_frame(p2p::PieceRequest{1, 0, piece_length}));
  CHECK(hex_of(asking->read_frame()) == hex_of(p2p::encode_frame(p2p::PieceError{1, "piece not complete"})));
  // Each piece is announced to those who lack it when it arrives, and the end is told.
  source->send(stage.seeder_handshake(first_id));
  stage.serve(*source, 3);
  std::vector<std::string> told{asking->read_frame(), asking->read_frame(), asking->read_frame()};
  std::sort(told.begin(), told.end());
  for (uint32_t i = 0; i < 3; ++i) CHECK(hex_of(told[i]) == hex_of(p2p::encode_frame(p2p::AnnouncePiece{i})));
  CHECK(hex_of(asking->read_frame()) == hex_of(p2p::encode_frame(p2p::Complete{})));
  CHECK(stage.read_all(content) == stage.blob);
}

TEST_CASE("engine: metainfo that lies about the whole fails the download instead of keeping it") {
  Leecher stage;
  const auto other = Digest::of("something else");
  const auto& info = stage.tracker.known.at(stage.digest);
  stage.tracker.known.emplace(other,
                              *MetaInfo::make(other, info.length(), info.piece_length(), info.piece_sums()));
  auto listener = stage.listen(first_id);
  auto opened = run(stage.loop, stage.engine->open(ns, other));
  REQUIRE(opened);
  auto peer = stage.accept(*listener);
  auto handshake = std::get<p2p::Handshake>(decode(peer->read_frame()));
  handshake.peer_id = *PeerId::parse(first_id);
  handshake.have = handshake_of(agent_to_origin().acceptor).have;
  handshake.ns.clear();
  peer->send(p2p::encode_frame(handshake));
  stage.serve(*peer, 3);
  CHECK_FALSE(run(stage.loop, EngineStage::wait_whole(opened->content)));
  CHECK(run(stage.loop, stage.store.open(other)).error().code == Errc::not_found);
}

TEST_CASE("engine: a removal in mid download ends its readers and leaves nothing") {
  Leecher stage;
  auto listener = stage.listen(first_id);
  const auto content = stage.open();
  auto peer = stage.accept_as(first_id, *listener);
  peer->read_frame();
  REQUIRE(run(stage.loop, stage.engine->remove(stage.digest)));
  CHECK_FALSE(run(stage.loop, EngineStage::wait_whole(content)));
  CHECK(stage.engine->torrents().empty());
  CHECK(run(stage.loop, stage.store.partial_metainfo(stage.digest)).error().code == Errc::not_found);
}

TEST_CASE("engine: a piece that has come is noted when the engine stops, and soon when it does not") {
  const bool stopped = GENERATE(true, false);
  CAPTURE(stopped);
  Leecher stage;
  auto listener = stage.listen(first_id);
  const auto content = stage.open();
  auto peer = stage.accept_as(first_id, *listener);
  const auto request = std::get<p2p::PieceRequest>(decode(peer->read_frame()));
  peer->send(stage.payload(request.index));
  const std::function<bool()> came = [&] { return stage.engine->torrents().at(0).pieces_have > 0; };
  REQUIRE(run(stage.loop, EngineStage::holds(*stage.clock, came)));
  const auto partial = run(stage.loop, stage.store.open_partial(stage.tracker.known.at(stage.digest)));
  REQUIRE(partial);
  const std::function<bool()> noted = [&] { return (*partial)->have().count() > 0; };
  if (stopped)
    run(stage.loop, stage.engine->stop());
  else
    REQUIRE(run(stage.loop, EngineStage::holds(*stage.clock, noted)));
  CHECK((*partial)->have().count() == 1);
  CHECK((*partial)->have().test(request.index));
}

TEST_CASE("engine: what nobody has is not_found") {
  Leecher stage;
  CHECK(run(stage.loop, stage.engine->open(ns, Digest::of("x"))).error().code == Errc::not_found);
}

}  // namespace
}  // namespace krakend::test
