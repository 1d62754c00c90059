#include <cmath>
#include <nlohmann/json.hpp>

#include "krakend/p2p/engine.h"

namespace krakend::p2p {
namespace {

using Json = nlohmann::ordered_json;

uint64_t rate(uint64_t bytes, double seconds) {
  return seconds > 0 ? static_cast<uint64_t>(static_cast<double>(bytes) / seconds) : 0;
}

double to_milliseconds(double seconds) {
  return std::round(seconds * 1000) / 1000;
}

Json peer_json(const PeerStatus& p) {
  return {{"peer_id", p.peer_id.hex()},
          {"address", p.address},
          {"origin", p.origin},
          {"opener", p.opener},
          {"seconds", to_milliseconds(p.age)},
          {"pieces", p.pieces},
          {"bytes_received", p.bytes_received},
          {"bytes_sent", p.bytes_sent},
          {"receive_bytes_per_second", static_cast<uint64_t>(p.receive_rate)},
          {"send_bytes_per_second", static_cast<uint64_t>(p.send_rate)},
          {"requests", p.requests.size()},
          {"requests_of_peer", p.requests_of_peer},
          {"silent", p.silent}};
}

Json torrent_object(const TorrentStatus& t) {
  return {{"digest", t.digest.str()},
          {"info_hash", t.info_hash.hex()},
          {"namespace", t.ns},
          {"length", t.length},
          {"pieces", t.pieces},
          {"pieces_have", t.pieces_have},
          {"complete", t.complete},
          {"waits_for", t.waits_for},
          {"readers", t.readers},
          {"bytes_from_origins", t.bytes_from_origins},
          {"bytes_from_peers", t.bytes_from_peers},
          {"bytes_sent", t.bytes_sent},
          {"retries", t.retries},
          {"seconds", to_milliseconds(t.seconds)},
          {"receive_bytes_per_second", rate(t.bytes_from_origins + t.bytes_from_peers, t.seconds)}};
}

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace

std::string torrents_json(const std::vector<TorrentStatus>& torrents) {
  auto list = Json::array();
  for (const auto& t : torrents) {
    auto peers = Json::array();
    for (const auto& p : t.peers) peers.push_back(peer_json(p));
    list.push_back(torrent_object(t));
    list.back()["peers"] = std::move(peers);
  }
  return dump({{"torrents", std::move(list)}});
}

std::string torrent_json(const TorrentStatus& t) {
  Json object = torrent_object(t);
  object["missing_pieces_by_copies"] = t.rarity;
  auto peers = Json::array();
  for (const auto& p : t.peers) {
    peers.push_back(peer_json(p));
    peers.back()["requested_pieces"] = p.requests;
    peers.back()["oldest_request_seconds"] = to_milliseconds(p.oldest_request);
  }
  object["peers"] = std::move(peers);
  return dump(object);
}

std::string blacklist_json(const std::vector<BlacklistEntry>& blacklist) {
  if (blacklist.empty()) return "null\n";
  auto list = Json::array();
  for (const auto& entry : blacklist) {
    list.push_back({{"peer_id", entry.peer_id.bytes()},
                    {"info_hash", entry.info_hash.bytes()},
                    {"remaining", entry.remaining.count()}});
  }
  return dump(list);
}

}  // namespace krakend::p2p
