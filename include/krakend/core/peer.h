#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "krakend/core/digest.h"
#include "krakend/core/ids.h"
#include "krakend/core/result.h"

namespace krakend {

/// A peer as tracker and agents speak of it (contract core-formats §7). `ip` may be a host name.
struct PeerInfo {
  PeerId peer_id;
  std::string ip;
  int port = 0;
  bool origin = false;
  bool complete = false;

  bool operator==(const PeerInfo&) const = default;
  /// {"peer_id":[20 ints],"ip":…,"port":…,"origin":…,"complete":…}
  std::string json() const;
  static Result<PeerInfo> parse(std::string_view json);
};

/// What an origin tells of itself at /internal/peercontext.
struct PeerContext {
  std::string ip;
  int port = 0;
  PeerId peer_id;
  std::string zone;
  std::string cluster;
  bool origin = false;

  bool operator==(const PeerContext&) const = default;
  std::string json() const;
  static Result<PeerContext> parse(std::string_view json);
};

/// Body of POST /announce/{infohash} (contract http-api §2.4).
struct AnnounceRequest {
  Digest digest;
  InfoHash info_hash;
  PeerInfo peer;

  std::string json() const;
  /// `digest` absent or null: `name` is used. A missing `peer` is an error, not a crash.
  static Result<AnnounceRequest> parse(std::string_view json);
};

struct AnnounceResponse {
  std::vector<PeerInfo> peers;
  /// Nanoseconds until the next announce.
  int64_t interval_ns = 0;
  /// A complete announcer gets "peers":null.
  bool null_peers = false;

  /// Ends in a newline, as the reference does.
  std::string json() const;
  static Result<AnnounceResponse> parse(std::string_view json);
};

}  // namespace krakend
