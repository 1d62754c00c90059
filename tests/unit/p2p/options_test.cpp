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

TEST_CASE("scheduler options that cannot be read") {
  for (const char* body : {"", "[]", "{\"SeederTTI\": \"5m\"}", "{\"ConnTTI\": -1}",
                           "{\"Dispatch\": {\"AgentPipelineLimit\": 1.5}}"}) {
    INFO(body);
    CHECK_FALSE(p2p::parse_engine_options(body, {}));
  }
}

}  // namespace
}  // namespace krakend::test
