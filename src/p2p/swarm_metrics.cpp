#include "p2p/swarm_metrics.h"

namespace krakend::p2p {
namespace {

/// By SwarmLimit.
constexpr std::array<const char*, 15> limit_names{
    "connections",      "mutual_connections", "handshakes",   "handshake_time", "queued_requests",
    "uploads",          "requested_bytes",    "left_alone",   "egress",         "ingress",
    "useless_messages", "unread_bytes",       "no_peer_time", "no_piece_time",  "declined_requests"};

Counter piece_bytes(const Metrics& metrics, const char* direction) {
  // The reference counts bits; its directions are one name at statsd, which has no tags.
  constexpr double bits = 8;
  return metrics.counter({"p2p_piece_bytes_total",
                          "Bytes of pieces, by direction",
                          "piece_bandwidth",
                          {{"direction", direction}},
                          bits});
}

}  // namespace

const char* limit_name(SwarmLimit limit) {
  return limit_names.at(static_cast<size_t>(limit));
}

SwarmMetrics::SwarmMetrics(const Metrics& metrics)
    : received(piece_bytes(metrics, "ingress")),
      sent(piece_bytes(metrics, "egress")),
      torrents_(metrics.gauge({"p2p_torrents", "Blobs that are fetched or seeded", "torrents"})),
      connections_(metrics.gauge({"p2p_connections", "Connections to peers, of all torrents"})),
      connections_of_torrent_(
          metrics.gauge({"p2p_connections_of_torrent", "Connections of the torrent that has most of them"})),
      handshakes_(metrics.gauge({"p2p_handshakes", "Incoming connections that have not said who they are"})),
      queued_requests_(
          metrics.gauge({"p2p_queued_requests", "Pieces that peers have asked for and not got"})),
      queued_requests_of_peer_(
          metrics.gauge({"p2p_queued_requests_of_peer", "Of these, of the peer that has most of them"})),
      uploads_(metrics.gauge({"p2p_uploads", "Pieces that are being sent"})),
      uploads_waiting_(
          metrics.gauge({"p2p_uploads_waiting", "Connections that wait for their turn to send"})),
      requested_bytes_(metrics.gauge({"p2p_requested_bytes", "Bytes that are asked for and have not come"})),
      left_alone_(metrics.gauge({"p2p_peers_left_alone", "Peers on the blacklist, of all torrents"})) {
  static_assert(limit_names.size() == limits_count);
  for (size_t i = 0; i < limits_count; ++i) {
    limits_[i] = metrics.counter(
        {"p2p_limits_total", "Times that a limit of the swarm was met", "", {{"limit", limit_names.at(i)}}});
  }
}

void SwarmMetrics::show(const SwarmUse& use) const {
  const auto set = [](const Gauge& gauge, auto value) { gauge.set(static_cast<double>(value)); };
  set(torrents_, use.torrents);
  set(connections_, use.connections);
  set(connections_of_torrent_, use.connections_of_torrent);
  set(handshakes_, use.handshakes);
  set(queued_requests_, use.queued_requests);
  set(queued_requests_of_peer_, use.queued_requests_of_peer);
  set(uploads_, use.uploads);
  set(uploads_waiting_, use.uploads_waiting);
  set(requested_bytes_, use.requested_bytes);
  set(left_alone_, use.left_alone);
}

}  // namespace krakend::p2p
