#include <sys/resource.h>

#include <set>

#include "krakend/core/hash.h"
#include "p2p/message.h"
#include "p2p/request_budget.h"
#include "p2p/swarm_metrics.h"
#include "p2p/upload_turns.h"
#include "unit/p2p/engine_stage.h"

// Each limit of the engine is counted when it is met, and /metrics tells how much of it is used.

namespace krakend::test {
namespace {

using p2p::SwarmLimit;

constexpr uint64_t piece_length = 1024;
constexpr const char* own_id = "0000000000000000000000000000000000000001";

PeerId peer_id(unsigned number) {
  return *PeerId::parse(fmt::format("{:040x}", number + 0x100));
}

struct Stage : EngineStage {
  explicit Stage(p2p::EngineOptions options = {}) : EngineStage(own_id, std::move(options)) {}

  double metric(const std::string& name) const {
    const std::string text = "\n" + metrics.text();
    const size_t at = text.find("\nkrakend_" + name + " ");
    INFO(name);
    REQUIRE(at != std::string::npos);
    return std::stod(text.substr(at + name.size() + std::string_view("\nkrakend_ ").size()));
  }
  double met(SwarmLimit limit) const {
    return metric(fmt::format("p2p_limits_total{{limit=\"{}\"}}", p2p::limit_name(limit)));
  }
  void await_metric(const std::string& name, double value) {
    for (int i = 0; i < 500 && metric(name) != value; ++i) run(loop, clock->sleep(10ms));
    CHECK(metric(name) == value);
  }
  /// Lets the engine work until the limit has been met so often.
  void await_met(SwarmLimit limit, double times) {
    for (int i = 0; i < 500 && met(limit) < times; ++i) run(loop, clock->sleep(10ms));
    INFO(p2p::limit_name(limit));
    CHECK(met(limit) >= times);
  }
};

/// A blob of some pieces that peers come for.
struct Seeder : Stage {
  explicit Seeder(p2p::EngineOptions options = {}) : Stage(std::move(options)) {
    info = *run(loop, store.metainfo(put(std::string(4 * piece_length, 'x'), piece_length)));
  }
  std::unique_ptr<RawPeer> call_as(unsigned number, std::vector<PeerId> neighbours = {}) {
    auto peer = dial();
    p2p::Handshake handshake{
        info.info_hash(), info.digest(), peer_id(number), Bitfield(info.piece_count()), "ns", {}};
    handshake.neighbours = std::move(neighbours);
    peer->send(p2p::encode_frame(handshake));
    return peer;
  }
  std::unique_ptr<RawPeer> connect_as(unsigned number) {
    auto peer = call_as(number);
    peer->read_frame();
    return peer;
  }
  static std::string request(uint32_t index) {
    return p2p::encode_frame(p2p::PieceRequest{index, 0, piece_length});
  }
  MetaInfo info;
};

TEST_CASE("limits: connections of a torrent") {
  p2p::EngineOptions options;
  options.max_open_conn = 2;
  Seeder seeder(options);
  CHECK(seeder.metric("p2p_connections") == 0);
  const auto first = seeder.connect_as(1);
  const auto second = seeder.connect_as(2);
  CHECK(seeder.met(SwarmLimit::connections) == 0);
  CHECK(seeder.call_as(3)->closed());
  CHECK(seeder.met(SwarmLimit::connections) == 1);
  CHECK(seeder.metric("p2p_connections") == 2);
  CHECK(seeder.metric("p2p_connections_of_torrent") == 2);
  CHECK(seeder.metric("p2p_torrents") == 1);
}

TEST_CASE("limits: neighbours of a peer that are ours, too") {
  p2p::EngineOptions options;
  options.max_mutual_conn = 1;
  Seeder seeder(options);
  const auto first = seeder.connect_as(1);
  const auto second = seeder.connect_as(2);
  CHECK(seeder.call_as(3, {peer_id(1), peer_id(2)})->closed());
  CHECK(seeder.met(SwarmLimit::mutual_connections) == 1);
}

TEST_CASE("limits: a handshake that does not come in time") {
  p2p::EngineOptions options;
  options.handshake_timeout = 200ms;
  Stage stage(options);
  const auto silent = stage.dial();
  run(stage.loop, stage.clock->sleep(20ms));
  CHECK(stage.metric("p2p_handshakes") == 1);
  CHECK(stage.met(SwarmLimit::handshake_time) == 0);
  CHECK(silent->closed());
  CHECK(stage.met(SwarmLimit::handshake_time) == 1);
  CHECK(stage.metric("p2p_handshakes") == 0);
}

TEST_CASE("limits: what a peer has asked for and not got, and the rate at which it is sent") {
  p2p::EngineOptions options;
  options.sender_buffer_size = 1;
  options.limit_bandwidth = true;
  options.egress_bits_per_sec = 8;
  Seeder seeder(options);
  const auto peer = seeder.connect_as(1);
  // The first is sent at once, the second waits for the rate: only then the others fill the queue.
  peer->send(Seeder::request(0));
  CHECK_FALSE(peer->read_frame().empty());
  CHECK(peer->read(piece_length) == std::string(piece_length, 'x'));
  seeder.await_metric("p2p_piece_bytes_total{direction=\"egress\"}", piece_length);
  peer->send(Seeder::request(1));
  seeder.await_met(SwarmLimit::egress, 1);
  CHECK(seeder.metric("p2p_uploads") == 1);
  CHECK(seeder.met(SwarmLimit::queued_requests) == 0);
  peer->send(Seeder::request(2) + Seeder::request(3) + Seeder::request(3));
  seeder.await_met(SwarmLimit::queued_requests, 2);
  CHECK(seeder.met(SwarmLimit::queued_requests) == 2);
  CHECK(seeder.metric("p2p_queued_requests") == 1);
  CHECK(seeder.metric("p2p_queued_requests_of_peer") == 1);
}

TEST_CASE("limits: pieces that are sent at once") {
  p2p::EngineOptions options;
  options.limit_bandwidth = true;
  options.egress_bits_per_sec = 8;
  Seeder seeder(options);
  std::vector<std::unique_ptr<RawPeer>> peers;
  // One piece is sent at once, a few more hold their turns while they wait for the rate, the others wait in
  // line.
  for (unsigned i = 0; i < 2 * p2p::UploadTurns::at_most; ++i) peers.push_back(seeder.connect_as(i));
  for (const auto& peer : peers) peer->send(Seeder::request(0));
  double waiting = 0;
  for (int i = 0; i < 500 && waiting == 0; ++i) {
    run(seeder.loop, seeder.clock->sleep(1ms));
    waiting = seeder.metric("p2p_uploads_waiting");
  }
  CHECK(waiting >= 1);
  CHECK(seeder.met(SwarmLimit::uploads) >= waiting);
}

TEST_CASE("limits: messages that are of no use") {
  Seeder seeder;
  const auto peer = seeder.connect_as(1);
  std::string flood;
  for (int i = 0; i < 1100; ++i) flood += p2p::encode_frame(p2p::CancelPiece{0});
  peer->send(flood);
  CHECK(peer->closed());
  CHECK(seeder.met(SwarmLimit::useless_messages) == 1);
  CHECK(seeder.metric("p2p_peers_left_alone") == 1);
}

TEST_CASE("limits: more reports of a peer's load than anybody needs") {
  Seeder seeder;
  const auto peer = seeder.connect_as(1);
  std::string reports;
  for (int i = 0; i < 900; ++i) reports += p2p::encode_frame(p2p::LoadReport{{1, 1}});
  peer->send(reports + Seeder::request(0));
  CHECK_FALSE(peer->read_frame().empty());
  CHECK(seeder.met(SwarmLimit::useless_messages) == 0);
  for (int i = 0; i < 3; ++i) peer->send(reports);
  CHECK(peer->closed());
  CHECK(seeder.met(SwarmLimit::useless_messages) == 1);
}

TEST_CASE("limits: a peer that does not read what it is told") {
  Seeder seeder;
  // A torrent of many pieces, so that a peer may ask for what is not to be had many times.
  seeder.info = *run(seeder.loop, seeder.store.metainfo(seeder.put(std::string(100'000, 'y'), 1)));
  const auto peer = seeder.connect_as(1);
  std::string refused;
  for (int i = 0; i < 2000; ++i) refused += p2p::encode_frame(p2p::PieceRequest{0, 1, 1});
  for (int i = 0; i < 190 && seeder.metric("p2p_connections") > 0; ++i) {
    peer->send(refused);
    run(seeder.loop, seeder.clock->sleep(1ms));
  }
  seeder.await_met(SwarmLimit::unread_bytes, 1);
  CHECK(seeder.met(SwarmLimit::useless_messages) == 0);
}

TEST_CASE("limits: connections that do not say who they are") {
  constexpr size_t most = 1024;
  rlimit files{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &files) == 0);
  files.rlim_cur = files.rlim_max;
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &files) == 0);
  p2p::EngineOptions options;
  options.handshake_timeout = 1min;
  Stage stage(options);
  std::vector<std::unique_ptr<RawPeer>> silent;
  for (size_t i = 0; i < most + 1; ++i) silent.push_back(stage.dial());
  stage.await_met(SwarmLimit::handshakes, 1);
  CHECK(silent.front()->closed());
  CHECK(stage.met(SwarmLimit::handshakes) == 1);
  CHECK(stage.metric("p2p_handshakes") == most);
}

/// A stage that fetches a blob of which nobody has to have the bytes.
struct Leecher : Stage {
  Leecher(p2p::EngineOptions options, uint32_t pieces, uint64_t length_of_piece)
      : Stage(std::move(options)),
        info(*MetaInfo::make(Digest::of("anything"), pieces * length_of_piece, length_of_piece,
                             std::vector<uint32_t>(pieces, crc32_of_zeros(length_of_piece)))) {
    tracker.known.emplace(info.digest(), info);
  }
  static uint32_t crc32_of_zeros(uint64_t length) { return crc32(0, as_bytes(std::string(length, '\0'))); }
  io::ContentPtr open() {
    auto opened = run(loop, engine->open("ns", info.digest()));
    REQUIRE(opened);
    return opened->content;
  }
  /// Takes the engine's call as a seeder.
  std::unique_ptr<RawPeer> accept_as_seeder(io::Listener& listener) {
    auto peer = accept(listener);
    peer->read_frame();
    const p2p::Handshake handshake{
        info.info_hash(), info.digest(), peer_id(1), Bitfield(info.piece_count(), true), "", {}};
    peer->send(p2p::encode_frame(handshake));
    return peer;
  }
  MetaInfo info;
};

TEST_CASE("limits: the time without a peer") {
  p2p::EngineOptions options;
  options.no_peer_timeout = 100ms;
  Leecher leecher(options, 1, piece_length);
  const auto content = leecher.open();
  CHECK_FALSE(run(leecher.loop, EngineStage::wait_whole(content)));
  CHECK(leecher.met(SwarmLimit::no_peer_time) == 1);
}

TEST_CASE("limits: the time without a piece") {
  p2p::EngineOptions options;
  options.leecher_tti = 200ms;
  Leecher leecher(options, 1, piece_length);
  auto listener = leecher.listen(peer_id(1).hex());
  const auto content = leecher.open();
  const auto silent = leecher.accept_as_seeder(*listener);
  CHECK_FALSE(run(leecher.loop, EngineStage::wait_whole(content)));
  CHECK(leecher.met(SwarmLimit::no_piece_time) == 1);
  CHECK(leecher.met(SwarmLimit::no_peer_time) == 0);
}

TEST_CASE("limits: bytes that are asked for and have not come, and the rate at which they may") {
  constexpr uint64_t large = 5 * MiB;
  p2p::EngineOptions options;
  options.pipeline_limit = 20;
  options.limit_bandwidth = true;
  options.ingress_bits_per_sec = 80 * MiB;
  Leecher leecher(options, 12, large);
  auto listener = leecher.listen(peer_id(1).hex());
  const auto content = leecher.open();
  const auto seeder = leecher.accept_as_seeder(*listener);
  seeder->read_frame();
  leecher.await_met(SwarmLimit::requested_bytes, 1);
  CHECK(leecher.metric("p2p_requested_bytes") == p2p::RequestBudget::least * large);
  CHECK(leecher.met(SwarmLimit::ingress) == 0);
  seeder->send(p2p::encode_frame(p2p::PiecePayload{0, 0, static_cast<uint32_t>(large), {}}) +
               std::string(large, '\0'));
  leecher.await_met(SwarmLimit::ingress, 1);
  leecher.await_metric("p2p_piece_bytes_total{direction=\"ingress\"}", large);
}

TEST_CASE("limits: each has a name of its own") {
  std::set<std::string> names;
  const auto last = static_cast<size_t>(SwarmLimit::declined_requests);
  for (size_t i = 0; i <= last; ++i) names.insert(p2p::limit_name(static_cast<SwarmLimit>(i)));
  CHECK(names.size() == last + 1);
}

}  // namespace
}  // namespace krakend::test
