#pragma once

#include <array>

#include "krakend/core/metrics.h"

namespace krakend::p2p {

/// What bounds an engine. Each is counted when it is met (docs/metrics.md has the table).
enum class SwarmLimit {
  connections,         ///< of a torrent
  mutual_connections,  ///< neighbours of a peer that are ours, too
  handshakes,          ///< that have not been read yet
  handshake_time,
  queued_requests,  ///< pieces that a peer has asked for and not got
  uploads,          ///< pieces that are sent at once
  requested_bytes,  ///< that this side has asked for and not got
  left_alone,       ///< peers of a torrent that are left alone
  egress,           ///< bytes a second
  ingress,          ///< bytes a second
  useless_messages,
  unread_bytes,  ///< of messages that a peer does not read
  no_peer_time,
  no_piece_time,
  declined_requests,  ///< bytes to send, of all peers
};
const char* limit_name(SwarmLimit limit);

/// What an engine uses of its limits at one moment.
struct SwarmUse {
  size_t torrents = 0;
  size_t connections = 0;
  size_t connections_of_torrent = 0;  ///< of the one that has most
  size_t handshakes = 0;
  size_t queued_requests = 0;
  size_t queued_requests_of_peer = 0;  ///< of the one that has most
  size_t uploads = 0;
  size_t uploads_waiting = 0;
  uint64_t requested_bytes = 0;
  size_t left_alone = 0;
};

/// The numbers of one engine. Loop thread.
class SwarmMetrics {
 public:
  explicit SwarmMetrics(const Metrics& metrics);
  const Counter& limit(SwarmLimit limit) const { return limits_.at(static_cast<size_t>(limit)); }
  void show(const SwarmUse& use) const;

  Counter received;  ///< bytes of pieces
  Counter sent;

 private:
  static constexpr size_t limits_count = static_cast<size_t>(SwarmLimit::declined_requests) + 1;
  std::array<Counter, limits_count> limits_;
  Gauge torrents_;
  Gauge connections_;
  Gauge connections_of_torrent_;
  Gauge handshakes_;
  Gauge queued_requests_;
  Gauge queued_requests_of_peer_;
  Gauge uploads_;
  Gauge uploads_waiting_;
  Gauge requested_bytes_;
  Gauge left_alone_;
};

}  // namespace krakend::p2p
