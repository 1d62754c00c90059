#include <limits>
#include <nlohmann/json.hpp>

#include "krakend/p2p/engine.h"

namespace krakend::p2p {
namespace {

using Json = nlohmann::json;

Result<uint64_t> number(const Json& value, std::string_view name) {
  if (value.is_number_unsigned()) return value.get<uint64_t>();
  return fail(Errc::invalid_argument, "{} is not a number of 0 or more", name);
}

/// A number into its place, at most `most`. 0 and an absent field leave the default, as in YAML.
template <class T>
Result<void> read_number(const Json& block, const char* name, uint64_t most, T& target) {
  const auto found = block.find(name);
  if (found == block.end()) return {};
  auto value = number(*found, name);
  if (!value) return propagate(value);
  if (*value != 0) target = static_cast<T>(std::min(*value, most));
  return {};
}

Result<void> read(const Json& block, const char* name, unsigned& target) {
  return read_number(block, name, 1'000'000, target);
}

Result<void> read(const Json& block, const char* name, uint64_t& target) {
  return read_number(block, name, std::numeric_limits<uint64_t>::max(), target);
}

Result<void> read(const Json& block, const char* name, Duration& target) {
  constexpr auto most = static_cast<uint64_t>(Duration(std::chrono::hours(24 * 365)).count());
  Duration::rep nanoseconds = target.count();
  auto done = read_number(block, name, most, nanoseconds);
  target = Duration(nanoseconds);
  return done;
}

Result<void> read(const Json& block, const char* name, bool& target) {
  const auto found = block.find(name);
  if (found == block.end()) return {};
  if (!found->is_boolean()) return fail(Errc::invalid_argument, "{} is neither true nor false", name);
  target = found->get<bool>();
  return {};
}

Json block_of(const Json& document, const char* name) {
  const auto found = document.find(name);
  return found != document.end() && found->is_object() ? *found : Json::object();
}

}  // namespace

EngineOptions origin_engine_options() {
  EngineOptions options;
  options.max_open_conn = 100;
  return options;
}

Result<EngineOptions> parse_engine_options(std::string_view json, EngineOptions options) {
  const Json document = Json::parse(json, nullptr, false);
  if (!document.is_object()) return fail(Errc::invalid_argument, "decode body: expected a JSON object");
  const Json connstate = block_of(document, "ConnState");
  const Json conn = block_of(document, "Conn");
  const Json bandwidth = block_of(conn, "Bandwidth");
  const Json dispatch = block_of(document, "Dispatch");
  for (const auto& done :
       {read(document, "SeederTTI", options.seeder_tti), read(document, "LeecherTTI", options.leecher_tti),
        read(document, "ConnTTI", options.conn_tti),
        read(connstate, "MaxOpenConnectionsPerTorrent", options.max_open_conn),
        read(connstate, "BlacklistDuration", options.blacklist_duration),
        read(conn, "HandshakeTimeout", options.handshake_timeout),
        read(bandwidth, "Enable", options.limit_bandwidth),
        read(bandwidth, "EgressBitsPerSec", options.egress_bits_per_sec),
        read(bandwidth, "IngressBitsPerSec", options.ingress_bits_per_sec),
        read(dispatch, "AgentPipelineLimit", options.pipeline_limit),
        read(dispatch, "OriginPipelineLimit", options.origin_pipeline_limit)}) {
    if (!done) return fail(done.error());
  }
  options.max_dial = std::min(options.max_dial, options.max_open_conn);
  return options;
}

}  // namespace krakend::p2p
