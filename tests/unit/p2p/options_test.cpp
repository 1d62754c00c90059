#include "krakend/p2p/engine.h"
#include "support/catch.h"

namespace krakend::test {
namespace {

TEST_CASE("scheduler options as the reference's reload tool sends them") {
  const auto options = p2p::parse_engine_options(
      R"({"SeederTTI": 60000000000, "ConnTTI": 0, "Unknown": {"x": 1},
          "ConnState": {"MaxOpenConnectionsPerTorrent": 7, "BlacklistDuration": 1000000000},
          "Conn": {"HandshakeTimeout": 2000000000, "SenderBufferSize": 10,
                   "Bandwidth": {"Enable": true, "EgressBitsPerSec": 8000}},
          "Dispatch": {"AgentPipelineLimit": 4, "OriginPipelineLimit": 6}})",
      {});
  REQUIRE(options);
  CHECK(options->seeder_tti == 1min);
  CHECK(options->conn_tti == p2p::EngineOptions{}.conn_tti);
  CHECK(options->leecher_tti == p2p::EngineOptions{}.leecher_tti);
  CHECK(options->max_open_conn == 7);
  CHECK(options->max_dial <= 7);
  CHECK(options->blacklist_duration == 1s);
  CHECK(options->handshake_timeout == 2s);
  CHECK(options->limit_bandwidth);
  CHECK(options->egress_bits_per_sec == 8000);
  CHECK(options->ingress_bits_per_sec == p2p::EngineOptions{}.ingress_bits_per_sec);
  CHECK(options->pipeline_limit == 4);
  CHECK(options->origin_pipeline_limit == 6);
}

TEST_CASE("scheduler options: every field of the reference that has a meaning here") {
  const auto options = p2p::parse_engine_options(
      R"({"LeecherTTI": 1000000000, "ConnTTL": 2000000000, "PreemptionInterval": 3000000000,
          "DisablePreemption": true, "EmitStatsInterval": 1, "ProbeTimeout": 1,
          "ConnState": {"MaxMutualConnections": 3, "DisableBlacklist": true},
          "Conn": {"SenderBufferSize": 10, "ReceiverBufferSize": 10,
                   "Bandwidth": {"IngressBitsPerSec": 16000, "TokenSize": 8}},
          "Dispatch": {"PieceRequestMinTimeout": 4000000000, "PieceRequestTimeoutPerMb": 5000000000,
                       "PieceRequestPolicy": "default", "EndgameThreshold": 7, "DisableEndgame": true},
          "TorrentLog": {"Level": "debug", "Disable": true, "ServiceName": "s", "Path": "/p",
                         "Encoding": "json"}, "Log": {"Level": "info"}})",
      {});
  REQUIRE(options);
  CHECK(options->leecher_tti == 1s);
  CHECK(options->conn_ttl == 2s);
  CHECK(options->preemption_interval == 3s);
  CHECK(options->disable_preemption);
  CHECK(options->max_mutual_conn == 3);
  CHECK(options->disable_blacklist);
  CHECK(options->sender_buffer_size == 10);
  CHECK(options->ingress_bits_per_sec == 16000);
  CHECK(options->piece_request_min_timeout == 4s);
  CHECK(options->piece_request_timeout_per_mb == 5s);
  CHECK(options->piece_request_policy == p2p::PiecePolicy::random);
  CHECK(options->endgame_threshold == 7);
  CHECK(options->disable_endgame);
  CHECK(options->torrent_log == p2p::TorrentLogOptions{"/p", LogLevel::debug, true, true, "s", "iso8601"});
}

TEST_CASE("scheduler options that cannot be read") {
  for (const char* body :
       {"", "[]", "{\"SeederTTI\": \"5m\"}", "{\"ConnTTI\": -1}",
        "{\"Dispatch\": {\"AgentPipelineLimit\": 1.5}}",
        "{\"Dispatch\": {\"PieceRequestPolicy\": \"rarest\"}}", "{\"TorrentLog\": {\"Path\": 7}}"}) {
    INFO(body);
    CHECK_FALSE(p2p::parse_engine_options(body, {}));
  }
}

}  // namespace
}  // namespace krakend::test
