#include <nlohmann/json.hpp>

#include "krakend/p2p/engine.h"

namespace krakend::p2p {
namespace {

uint64_t rate(uint64_t bytes, double seconds) {
  return seconds > 0 ? static_cast<uint64_t>(static_cast<double>(bytes) / seconds) : 0;
}

}  // namespace

std::string torrents_json(const std::vector<TorrentStatus>& torrents) {
  auto list = nlohmann::ordered_json::array();
  for (const auto& t : torrents) {
    auto peers = nlohmann::ordered_json::array();
    for (const auto& p : t.peers) {
      peers.push_back({{"peer_id", p.peer_id.hex()},
                       {"address", p.address},
                       {"origin", p.origin},
                       {"opener", p.opener},
                       {"pieces", p.pieces},
                       {"bytes_received", p.bytes_received},
                       {"bytes_sent", p.bytes_sent},
                       {"requests", p.requests},
                       {"receive_bytes_per_second", rate(p.bytes_received, t.seconds)}});
    }
    list.push_back({{"digest", t.digest.str()},
                    {"info_hash", t.info_hash.hex()},
                    {"namespace", t.ns},
                    {"length", t.length},
                    {"pieces", t.pieces},
                    {"pieces_have", t.pieces_have},
                    {"complete", t.complete},
                    {"bytes_from_origins", t.bytes_from_origins},
                    {"bytes_from_peers", t.bytes_from_peers},
                    {"bytes_sent", t.bytes_sent},
                    {"retries", t.retries},
                    {"seconds", t.seconds},
                    {"receive_bytes_per_second", rate(t.bytes_from_origins + t.bytes_from_peers, t.seconds)},
                    {"peers", std::move(peers)}});
  }
  return nlohmann::ordered_json{{"torrents", std::move(list)}}.dump(
             -1, ' ', false, nlohmann::json::error_handler_t::replace) +
         "\n";
}

}  // namespace krakend::p2p
