#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "p2p/network_events.h"
#include "p2p/torrent_log.h"
#include "support/catch.h"
#include "support/fake_clock.h"
#include "support/temp_dir.h"

// The files that tools of the reference read, against what its own processes wrote (contract p2p §13, §14).

namespace krakend::test {
namespace {

struct FixedClock final : io::Clock {
  TimePoint now() const override { return TimePoint{}; }
  std::chrono::system_clock::time_point wall() const override { return time; }
  io::Timer after(Duration /*delay*/, std::function<void()> /*fn*/) override { return {}; }
  Task<> sleep(Duration /*delay*/) override { co_return; }
  std::chrono::system_clock::time_point time{};
};

/// Of contract core-formats §5, vector 2.
MetaInfo hello_kraken() {
  const auto digest = Digest::of("hello kraken");
  return *MetaInfo::make(digest, 12, 5, {1, 2, 3});
}

struct Stage {
  std::vector<std::string> lines() const {
    std::ifstream file(path);
    std::vector<std::string> all;
    for (std::string line; std::getline(file, line);) all.push_back(line);
    return all;
  }
  TempDir dir;
  std::string path = dir / "lines";
  FixedClock clock;
  p2p::EngineSelf self = [] {
    p2p::EngineSelf own;
    own.peer_id = *PeerId::parse("98c2b1164e7c9889057941fffcaa67a45f5501ba");
    own.zone = "z1";
    own.cluster = "c1";
    own.hostname = "h1";
    return own;
  }();
  InfoHash hash = *InfoHash::parse("9c51c05e23292bbb5b84259161d306d167499a30");
  PeerId peer = *PeerId::parse("3f09784bfa8dd4e29e0180c6ba47951d530acbed");
};

TEST_CASE("network events: as the reference writes them") {
  Stage stage;
  // 2026-01-02T03:04:05.215949153Z
  stage.clock.time += std::chrono::seconds(1767323045) + std::chrono::nanoseconds(215949153);
  p2p::NetworkEvents events(stage.clock, stage.self.peer_id);
  events.write("add_torrent", stage.hash);  // goes nowhere yet
  events.write_to(*LineLog::open(stage.path));
  const Bitfield none(3);
  p2p::NetworkEvents::Details added;
  added.bitfield = &none;
  added.conn_capacity = 10;
  events.write("add_torrent", stage.hash, added);
  events.about_piece("receive_piece", stage.hash, stage.peer, 0);
  events.about_piece("receive_piece", stage.hash, stage.peer, 2);
  p2p::NetworkEvents::Details pause;
  pause.peer = stage.peer;
  pause.duration = 30s;
  events.write("blacklist_conn", stage.hash, pause);
  const std::string head = R"("torrent":"9c51c05e23292bbb5b84259161d306d167499a30",)"
                           R"("self":"98c2b1164e7c9889057941fffcaa67a45f5501ba",)"
                           R"("ts":"2026-01-02T03:04:05.215949153Z")";
  const std::string peer = R"(,"peer":"3f09784bfa8dd4e29e0180c6ba47951d530acbed")";
  CHECK(stage.lines() ==
        std::vector<std::string>{
            R"({"event":"add_torrent",)" + head + R"(,"bitfield":[false,false,false],"conn_capacity":10})",
            R"({"event":"receive_piece",)" + head + peer + "}",
            R"({"event":"receive_piece",)" + head + peer + R"(,"piece":2})",
            R"({"event":"blacklist_conn",)" + head + peer + R"(,"duration_ms":30000})"});
}

TEST_CASE("network events: a bitfield that would stop the visualiser is left out") {
  Stage stage;
  p2p::NetworkEvents events(stage.clock, stage.self.peer_id);
  events.write_to(*LineLog::open(stage.path));
  for (const uint32_t pieces : {p2p::NetworkEvents::max_bitfield, p2p::NetworkEvents::max_bitfield + 1}) {
    const Bitfield have(pieces);
    p2p::NetworkEvents::Details details;
    details.bitfield = &have;
    events.write("add_torrent", stage.hash, details);
  }
  const auto lines = stage.lines();
  REQUIRE(lines.size() == 2);
  CHECK(lines[0].size() < 64 * KiB);
  CHECK(nlohmann::json::parse(lines[0])["bitfield"].size() == p2p::NetworkEvents::max_bitfield);
  CHECK_FALSE(nlohmann::json::parse(lines[1]).contains("bitfield"));
}

TEST_CASE("timestamps lose the zeros at their end") {
  const std::chrono::system_clock::time_point epoch{};
  CHECK(p2p::rfc3339(epoch) == "1970-01-01T00:00:00Z");
  CHECK(p2p::rfc3339(epoch + std::chrono::milliseconds(1500)) == "1970-01-01T00:00:01.5Z");
}

TEST_CASE("torrent log: JSON lines with the reference's fields") {
  Stage stage;
  stage.clock.time += std::chrono::milliseconds(1'500);
  p2p::TorrentLogOptions options;
  options.json = true;
  options.time_encoder = "epoch";
  options.service_name = "kraken-agent";
  p2p::TorrentLog log(stage.clock, stage.self);
  log.write_to(*LineLog::open(stage.path), options);
  const auto info = hello_kraken();
  log.connected(p2p::TorrentLog::Side::outgoing, info, stage.peer);  // debug: below the level
  log.download_success("library/alpine", info, 0.25);
  const auto lines = stage.lines();
  REQUIRE(lines.size() == 1);
  CHECK(lines[0] == R"({"level":"INFO","ts":1.5,"caller":"p2p/torrent_log","message":"Download success",)"
                    R"("cluster":"c1","hostname":"h1","peer_id":"98c2b1164e7c9889057941fffcaa67a45f5501ba",)"
                    R"("service_name":"kraken-agent","zone":"z1","namespace":"library/alpine","name":")" +
                        info.digest().hex() + R"(","size":12,"download_time":0.25})");
}

TEST_CASE("torrent log: summaries, levels and console lines") {
  Stage stage;
  p2p::TorrentLogOptions options;
  options.level = LogLevel::debug;
  p2p::TorrentLog log(stage.clock, stage.self);
  log.write_to(*LineLog::open(stage.path), options);
  const auto info = hello_kraken();
  p2p::PeerCountsMap counts;
  counts[stage.peer] = {};
  log.seeder_summaries(info, counts);  // nothing was asked for
  log.leecher_summaries(info, counts);
  counts[stage.peer] = {3, 2, 1, 5, 4};
  log.seeder_summaries(info, counts);
  log.leecher_summaries(info, counts);
  log.rejected(p2p::TorrentLog::Side::incoming, info, stage.peer, "full");
  const auto lines = stage.lines();
  REQUIRE(lines.size() == 3);
  CHECK(lines[0].starts_with("1970-01-01T00:00:00.000Z\tDEBUG\tp2p/torrent_log\tSeeder summaries\t{"));
  const auto fields = [](const std::string& line) {
    return nlohmann::json::parse(line.substr(line.find('{')));
  };
  CHECK(fields(lines[0])["seeder_summaries"] ==
        nlohmann::json::parse(R"([{"peer_id":"3f09784bfa8dd4e29e0180c6ba47951d530acbed","requests_sent":3,
                                   "good_pieces_received":2,"duplicate_pieces_received":1}])"));
  CHECK(fields(lines[1])["leecher_summaries"] ==
        nlohmann::json::parse(R"([{"peer_id":"3f09784bfa8dd4e29e0180c6ba47951d530acbed",
                                   "requests_received":5,"pieces_sent":4}])"));
  CHECK(fields(lines[2])["error"] == "full");
  CHECK(fields(lines[2])["remote_peer_id"] == stage.peer.hex());
}

TEST_CASE("torrent log: a hundred of a kind in a second, then every hundredth") {
  Stage stage;
  p2p::TorrentLog log(stage.clock, stage.self);
  log.write_to(*LineLog::open(stage.path), {});
  const auto info = hello_kraken();
  for (int i = 0; i < 350; ++i) log.download_success("a", info, 1);
  CHECK(stage.lines().size() == 102);
  stage.clock.time += std::chrono::seconds(1);
  log.download_success("a", info, 1);
  CHECK(stage.lines().size() == 103);
}

TEST_CASE("a log file that cannot be opened names its path") {
  const auto opened = LineLog::open("/proc/nowhere/lines");
  REQUIRE_FALSE(opened);
  CHECK(opened.error().message.find("/proc/nowhere/lines") != std::string::npos);
}

}  // namespace
}  // namespace krakend::test
