#include "p2p/torrent_log.h"

#include <nlohmann/json.hpp>

namespace krakend::p2p {
namespace {

using Json = nlohmann::ordered_json;

std::vector<LogField> blob_fields(const MetaInfo& info) {
  return {{"name", json_text(info.digest().hex())}, {"info_hash", json_text(info.info_hash().hex())}};
}

std::vector<LogField> download_fields(const std::string& ns, const MetaInfo& info) {
  return {{"namespace", json_text(ns)},
          {"name", json_text(info.digest().hex())},
          {"size", std::to_string(info.length())}};
}

}  // namespace

void TorrentLog::set_peer_id(const PeerId& id) {
  std::erase_if(constant_, [](const LogField& field) { return field.key == "peer_id"; });
  constant_.push_back({"peer_id", json_text(id.hex())});
}

void TorrentLog::write(LogLevel level, std::string_view message, std::vector<LogField> fields) const {
  if (!log_.enabled(level)) return;
  fields.insert(fields.begin(), constant_.begin(), constant_.end());
  log_.write(level, message, fields);
}

void TorrentLog::succeeded(const std::string& ns, const MetaInfo& info, double seconds) const {
  auto fields = download_fields(ns, info);
  fields.push_back({"download_time", fmt::format("{}", seconds)});
  write(LogLevel::info, "Download success", std::move(fields));
}

void TorrentLog::failed(const std::string& ns, const MetaInfo& info, std::string_view error) const {
  auto fields = download_fields(ns, info);
  fields.push_back({"error", json_text(error)});
  write(LogLevel::error, "Download failure", std::move(fields));
}

void TorrentLog::connection(bool outgoing, const MetaInfo& info, const PeerId& peer,
                            std::string_view error) const {
  if (!log_.enabled(LogLevel::debug)) return;
  auto fields = blob_fields(info);
  fields.push_back({"remote_peer_id", json_text(peer.hex())});
  if (!error.empty()) fields.push_back({"error", json_text(error)});
  write(LogLevel::debug,
        fmt::format("{} connection {}", outgoing ? "Outgoing" : "Incoming",
                    error.empty() ? "accept" : "reject"),
        std::move(fields));
}

void TorrentLog::timed_out(bool seeding, const MetaInfo& info) const {
  write(LogLevel::debug, seeding ? "Seed timeout" : "Leech timeout", blob_fields(info));
}

void TorrentLog::seeders(const MetaInfo& info, const Tallies& tallies) const {
  Json list = Json::array();
  for (const auto& [peer, tally] : tallies) {
    if (tally.requests_sent == 0) continue;
    list.push_back({{"peer_id", peer.hex()},
                    {"requests_sent", tally.requests_sent},
                    {"good_pieces_received", tally.good_pieces},
                    {"duplicate_pieces_received", tally.duplicate_pieces}});
  }
  if (list.empty()) return;
  auto fields = blob_fields(info);
  fields.push_back({"seeder_summaries", list.dump()});
  write(LogLevel::debug, "Seeder summaries", std::move(fields));
}

void TorrentLog::leechers(const MetaInfo& info, const Tallies& tallies) const {
  Json list = Json::array();
  for (const auto& [peer, tally] : tallies) {
    if (tally.requests_received == 0) continue;
    list.push_back({{"peer_id", peer.hex()},
                    {"requests_received", tally.requests_received},
                    {"pieces_sent", tally.pieces_sent}});
  }
  if (list.empty()) return;
  auto fields = blob_fields(info);
  fields.push_back({"leecher_summaries", list.dump()});
  write(LogLevel::debug, "Leecher summaries", std::move(fields));
}

}  // namespace krakend::p2p
