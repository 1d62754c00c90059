#include "p2p/torrent_log.h"

#include <nlohmann/json.hpp>

#include "p2p/network_events.h"

namespace krakend::p2p {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view caller = "p2p/torrent_log";

Json about(const MetaInfo& info) {
  return {{"name", info.digest().hex()}, {"info_hash", info.info_hash().hex()}};
}

std::string_view name_of(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return "DEBUG";
    case LogLevel::info:
      return "INFO";
    case LogLevel::warn:
      return "WARN";
    case LogLevel::error:
      return "ERROR";
  }
  return "ERROR";
}

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

void TorrentLog::write_to(LineLog file, TorrentLogOptions options) {
  file_ = std::move(file);
  options_ = std::move(options);
}

bool TorrentLog::sampled(std::string_view message) {
  const int64_t second =
      std::chrono::duration_cast<std::chrono::seconds>(clock_.wall().time_since_epoch()).count();
  auto& seen = seen_[std::string(message)];
  if (seen.second != second) seen = {second, 0};
  ++seen.count;
  return seen.count <= sample || seen.count % sample == 0;
}

nlohmann::ordered_json TorrentLog::timestamp() const {
  const auto since = clock_.wall().time_since_epoch();
  if (options_.time_encoder == "iso8601" || options_.time_encoder.empty()) {
    const auto whole = std::chrono::time_point<std::chrono::system_clock>(
        std::chrono::duration_cast<std::chrono::seconds>(since));
    const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(since).count() % 1000;
    std::string text = rfc3339(whole);
    text.pop_back();
    return fmt::format("{}.{:03}Z", text, milliseconds);
  }
  if (options_.time_encoder == "millis") return std::chrono::duration<double, std::milli>(since).count();
  if (options_.time_encoder == "nanos")
    return std::chrono::duration_cast<std::chrono::nanoseconds>(since).count();
  return std::chrono::duration<double>(since).count();
}

nlohmann::ordered_json TorrentLog::constants() const {
  Json fields{{"cluster", self_.cluster}, {"hostname", self_.hostname}, {"peer_id", self_.peer_id.hex()}};
  if (!options_.service_name.empty()) fields["service_name"] = options_.service_name;
  fields["zone"] = self_.zone;
  return fields;
}

void TorrentLog::write(LogLevel level, std::string_view message, const Json& fields) {
  if (!sampled(message)) return;
  Json rest = constants();
  rest.update(fields);
  if (options_.json) {
    Json line{{"level", name_of(level)}, {"ts", timestamp()}, {"caller", caller}, {"message", message}};
    line.update(rest);
    file_.write(dump(line));
    return;
  }
  const Json time = timestamp();
  file_.write(fmt::format("{}\t{}\t{}\t{}\t{}", time.is_string() ? time.get<std::string>() : dump(time),
                          name_of(level), caller, message, dump(rest)));
}

void TorrentLog::connected(Side side, const MetaInfo& info, const PeerId& peer) {
  if (!wanted(LogLevel::debug)) return;
  Json fields = about(info);
  fields["remote_peer_id"] = peer.hex();
  write(LogLevel::debug, side == Side::outgoing ? "Outgoing connection accept" : "Incoming connection accept",
        fields);
}

void TorrentLog::rejected(Side side, const MetaInfo& info, const PeerId& peer, std::string_view why) {
  if (!wanted(LogLevel::debug)) return;
  Json fields = about(info);
  fields["remote_peer_id"] = peer.hex();
  fields["error"] = why;
  write(LogLevel::debug, side == Side::outgoing ? "Outgoing connection reject" : "Incoming connection reject",
        fields);
}

void TorrentLog::seed_timeout(const MetaInfo& info) {
  if (wanted(LogLevel::debug)) write(LogLevel::debug, "Seed timeout", about(info));
}

void TorrentLog::leech_timeout(const MetaInfo& info) {
  if (wanted(LogLevel::debug)) write(LogLevel::debug, "Leech timeout", about(info));
}

void TorrentLog::download_success(std::string_view ns, const MetaInfo& info, double seconds) {
  if (!wanted(LogLevel::info)) return;
  write(LogLevel::info, "Download success",
        {{"namespace", ns},
         {"name", info.digest().hex()},
         {"size", info.length()},
         {"download_time", seconds}});
}

void TorrentLog::download_failure(std::string_view ns, const MetaInfo& info, std::string_view why) {
  if (!wanted(LogLevel::error)) return;
  write(LogLevel::error, "Download failure",
        {{"namespace", ns}, {"name", info.digest().hex()}, {"size", info.length()}, {"error", why}});
}

void TorrentLog::seeder_summaries(const MetaInfo& info, const PeerCountsMap& peers) {
  if (!wanted(LogLevel::debug)) return;
  Json list = Json::array();
  for (const auto& [id, counts] : peers) {
    if (counts.requests_sent == 0) continue;
    list.push_back({{"peer_id", id.hex()},
                    {"requests_sent", counts.requests_sent},
                    {"good_pieces_received", counts.good_pieces_received},
                    {"duplicate_pieces_received", counts.duplicate_pieces_received}});
  }
  if (list.empty()) return;
  Json fields = about(info);
  fields["seeder_summaries"] = std::move(list);
  write(LogLevel::debug, "Seeder summaries", fields);
}

void TorrentLog::leecher_summaries(const MetaInfo& info, const PeerCountsMap& peers) {
  if (!wanted(LogLevel::debug)) return;
  Json list = Json::array();
  for (const auto& [id, counts] : peers) {
    if (counts.requests_received == 0) continue;
    list.push_back({{"peer_id", id.hex()},
                    {"requests_received", counts.requests_received},
                    {"pieces_sent", counts.pieces_sent}});
  }
  if (list.empty()) return;
  Json fields = about(info);
  fields["leecher_summaries"] = std::move(list);
  write(LogLevel::debug, "Leecher summaries", fields);
}

}  // namespace krakend::p2p
