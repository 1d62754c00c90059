#include <limits>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

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

Result<void> read(const Json& block, const char* name, std::string& target) {
  const auto found = block.find(name);
  if (found == block.end()) return {};
  if (!found->is_string()) return fail(Errc::invalid_argument, "{} is no text", name);
  if (auto text = found->get<std::string>(); !text.empty()) target = std::move(text);
  return {};
}

/// One of some words into its place; "" leaves the default.
template <class T>
Result<void> read_word(const Json& block, const char* name,
                       const std::vector<std::pair<std::string_view, T>>& words, T& target) {
  std::string text;
  if (auto done = read(block, name, text); !done || text.empty()) return done;
  std::string allowed;
  for (const auto& [word, value] : words) {
    if (word == text) {
      target = value;
      return {};
    }
    allowed += fmt::format("{}{}", allowed.empty() ? "" : ", ", word);
  }
  return fail(Errc::invalid_argument, "{}: expected one of {}, found \"{}\"", name, allowed, text);
}

Json block_of(const Json& document, const char* name) {
  const auto found = document.find(name);
  return found != document.end() && found->is_object() ? *found : Json::object();
}

using Done = std::vector<Result<void>>;

Done read_scheduler(const Json& json, EngineOptions& options) {
  return {read(json, "SeederTTI", options.seeder_tti),
          read(json, "LeecherTTI", options.leecher_tti),
          read(json, "ConnTTI", options.conn_tti),
          read(json, "ConnTTL", options.conn_ttl),
          read(json, "PreemptionInterval", options.preemption_interval),
          read(json, "DisablePreemption", options.disable_preemption)};
}

Done read_connstate(const Json& json, EngineOptions& options) {
  return {read(json, "MaxOpenConnectionsPerTorrent", options.max_open_conn),
          read(json, "MaxMutualConnections", options.max_mutual_conn),
          read(json, "DisableBlacklist", options.disable_blacklist),
          read(json, "BlacklistDuration", options.blacklist_duration)};
}

Done read_conn(const Json& json, EngineOptions& options) {
  const Json bandwidth = block_of(json, "Bandwidth");
  return {read(json, "HandshakeTimeout", options.handshake_timeout),
          read(json, "SenderBufferSize", options.sender_buffer_size),
          read(bandwidth, "Enable", options.limit_bandwidth),
          read(bandwidth, "EgressBitsPerSec", options.egress_bits_per_sec),
          read(bandwidth, "IngressBitsPerSec", options.ingress_bits_per_sec)};
}

Done read_dispatch(const Json& json, EngineOptions& options) {
  return {
      read(json, "PieceRequestMinTimeout", options.piece_request_min_timeout),
      read(json, "PieceRequestTimeoutPerMb", options.piece_request_timeout_per_mb),
      read_word<PiecePolicy>(json, "PieceRequestPolicy",
                             {{"default", PiecePolicy::random}, {"rarest_first", PiecePolicy::rarest_first}},
                             options.piece_request_policy),
      read(json, "AgentPipelineLimit", options.pipeline_limit),
      read(json, "OriginPipelineLimit", options.origin_pipeline_limit),
      read(json, "EndgameThreshold", options.endgame_threshold),
      read(json, "DisableEndgame", options.disable_endgame)};
}

Done read_torrent_log(const Json& json, TorrentLogOptions& options) {
  return {read_word<LogLevel>(json, "Level",
                              {{"debug", LogLevel::debug},
                               {"info", LogLevel::info},
                               {"warn", LogLevel::warn},
                               {"error", LogLevel::error}},
                              options.level),
          read(json, "Disable", options.disable), read(json, "ServiceName", options.service_name),
          read(json, "Path", options.path),
          read_word<bool>(json, "Encoding", {{"console", false}, {"json", true}}, options.json)};
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
  for (const Done& block :
       {read_scheduler(document, options), read_connstate(block_of(document, "ConnState"), options),
        read_conn(block_of(document, "Conn"), options),
        read_dispatch(block_of(document, "Dispatch"), options),
        read_torrent_log(block_of(document, "TorrentLog"), options.torrent_log)}) {
    for (const auto& done : block) {
      if (!done) return fail(done.error());
    }
  }
  options.max_dial = std::min(options.max_dial, options.max_open_conn);
  return options;
}

}  // namespace krakend::p2p
