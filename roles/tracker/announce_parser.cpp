#include "roles/tracker/announce_parser.h"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

namespace krakend::tracker {
namespace {

/// Longest host name of DNS; `ip` may be one.
constexpr size_t max_host = 253;

/// Whether the document is an object without a `peer` but sound otherwise.
bool only_peer_missing(std::string_view body) {
  auto document = nlohmann::json::parse(body, nullptr, false);
  if (!document.is_object()) return false;
  for (const auto& [key, value] : document.items()) {
    std::string lower = key;
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (lower == "peer" && !value.is_null()) return false;
  }
  const PeerInfo any{PeerId(), "127.0.0.1", 1, false, false};
  document["peer"] = nlohmann::json::parse(any.json());
  return AnnounceRequest::parse(document.dump()).has_value();
}

}  // namespace

Result<AnnounceRequest> parse_announce(std::string_view body) {
  auto request = AnnounceRequest::parse(body);
  if (!request) {
    const int status = only_peer_missing(body) ? 400 : 500;
    return fail(Error{Errc::invalid_argument, "announce: " + request.error().message, status});
  }
  const PeerInfo& peer = request->peer;
  if (peer.ip.empty() || peer.ip.size() > max_host || peer.port < 1 || peer.port > 65'535)
    return fail(Error{Errc::invalid_argument,
                      fmt::format("announce: peer address {}:{} cannot be dialled", peer.ip, peer.port),
                      400});
  return request;
}

}  // namespace krakend::tracker
