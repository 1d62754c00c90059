#include "krakend/core/peer.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace krakend {
namespace {

using Json = nlohmann::ordered_json;

Error malformed(std::string_view what) {
  return Error{Errc::invalid_argument, std::string(what)};
}

template <class Id>
Json id_json(const Id& id) {
  auto list = Json::array();
  for (const uint8_t byte : id.bytes()) list.push_back(byte);
  return list;
}

/// An id as a list of 20 numbers 0..255; the reference zero-fills shorter lists and cuts longer ones.
template <class Id>
Result<Id> id_from(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_array())
    return fail(malformed(fmt::format("{} is not a list of bytes", key)));
  std::array<uint8_t, 20> bytes{};
  for (size_t i = 0; i < found->size() && i < bytes.size(); ++i) {
    const auto& value = (*found)[i];
    if (!value.is_number_unsigned() || value.get<uint64_t>() > 255) {
      return fail(malformed(fmt::format("{} is not a list of bytes", key)));
    }
    bytes[i] = value.get<uint8_t>();
  }
  return Id(bytes);
}

/// A member of the given kind; missing or null leaves the zero value, another kind is an error.
Result<std::string> text_member(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return std::string{};
  if (!found->is_string()) return fail(malformed(fmt::format("{} is not a string", key)));
  return found->get<std::string>();
}

Result<bool> bool_member(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return false;
  if (!found->is_boolean()) return fail(malformed(fmt::format("{} is not a boolean", key)));
  return found->get<bool>();
}

Result<int> port_member(const Json& object) {
  const auto found = object.find("port");
  if (found == object.end() || found->is_null()) return 0;
  if (!found->is_number_unsigned() || found->get<uint64_t>() > 65535)
    return fail(malformed("port is not 0..65535"));
  return found->get<int>();
}

Json peer_json(const PeerInfo& peer) {
  return {{"peer_id", id_json(peer.peer_id)},
          {"ip", peer.ip},
          {"port", peer.port},
          {"origin", peer.origin},
          {"complete", peer.complete}};
}

Result<PeerInfo> peer_from(const Json& object) {
  if (!object.is_object()) return fail(malformed("peer is not an object"));
  auto id = id_from<PeerId>(object, "peer_id");
  auto ip = text_member(object, "ip");
  auto port = port_member(object);
  auto origin = bool_member(object, "origin");
  auto complete = bool_member(object, "complete");
  if (!id) return propagate(id);
  if (!ip) return propagate(ip);
  if (!port) return propagate(port);
  if (!origin) return propagate(origin);
  if (!complete) return propagate(complete);
  return PeerInfo{*id, *ip, *port, *origin, *complete};
}

Result<Json> parse_object(std::string_view text, std::string_view what) {
  auto document = Json::parse(text, nullptr, false);
  if (!document.is_object()) return fail(malformed(fmt::format("{} is not a JSON object", what)));
  return document;
}

std::string dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

std::string PeerInfo::json() const {
  return dump(peer_json(*this));
}

Result<PeerInfo> PeerInfo::parse(std::string_view json) {
  auto document = parse_object(json, "peer");
  if (!document) return propagate(document);
  return peer_from(*document);
}

std::string PeerContext::json() const {
  return dump({{"ip", ip},
               {"port", port},
               {"peer_id", id_json(peer_id)},
               {"zone", zone},
               {"cluster", cluster},
               {"origin", origin}});
}

Result<PeerContext> PeerContext::parse(std::string_view json) {
  auto document = parse_object(json, "peer context");
  if (!document) return propagate(document);
  auto peer = peer_from(*document);
  auto zone = text_member(*document, "zone");
  auto cluster = text_member(*document, "cluster");
  if (!peer) return propagate(peer);
  if (!zone) return propagate(zone);
  if (!cluster) return propagate(cluster);
  return PeerContext{peer->ip, peer->port, peer->peer_id, *zone, *cluster, peer->origin};
}

std::string AnnounceRequest::json() const {
  return dump({{"name", digest.hex()},
               {"digest", digest.str()},
               {"info_hash", id_json(info_hash)},
               {"peer", peer_json(peer)}});
}

Result<AnnounceRequest> AnnounceRequest::parse(std::string_view json) {
  auto document = parse_object(json, "announce request");
  if (!document) return propagate(document);
  auto digest_text = text_member(*document, "digest");
  auto name = text_member(*document, "name");
  if (!digest_text) return propagate(digest_text);
  if (!name) return propagate(name);
  auto digest = digest_text->empty() ? Digest::parse_hex(*name) : Digest::parse(*digest_text);
  if (!digest) return propagate(digest);
  auto hash = id_from<InfoHash>(*document, "info_hash");
  if (!hash) return propagate(hash);
  const auto peer_member = document->find("peer");
  if (peer_member == document->end() || !peer_member->is_object())
    return fail(malformed("announce without a peer"));
  auto peer = peer_from(*peer_member);
  if (!peer) return propagate(peer);
  return AnnounceRequest{*digest, *hash, *peer};
}

std::string AnnounceResponse::json() const {
  Json list = nullptr;
  if (!null_peers) {
    list = Json::array();
    for (const auto& peer : peers) list.push_back(peer_json(peer));
  }
  return dump({{"peers", std::move(list)}, {"interval", interval_ns}}) + "\n";
}

Result<AnnounceResponse> AnnounceResponse::parse(std::string_view json) {
  auto document = parse_object(json, "announce response");
  if (!document) return propagate(document);
  AnnounceResponse response;
  const auto interval = document->find("interval");
  if (interval != document->end() && interval->is_number_integer())
    response.interval_ns = interval->get<int64_t>();
  const auto peers = document->find("peers");
  if (peers == document->end() || peers->is_null()) {
    response.null_peers = true;
    return response;
  }
  if (!peers->is_array()) return fail(malformed("peers is not a list"));
  for (const auto& item : *peers) {
    auto peer = peer_from(item);
    if (!peer) return propagate(peer);
    response.peers.push_back(std::move(*peer));
  }
  return response;
}

}  // namespace krakend
