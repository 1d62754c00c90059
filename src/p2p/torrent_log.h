#pragma once

#include <map>
#include <string>
#include <string_view>

#include "krakend/core/log.h"
#include "krakend/core/metainfo.h"
#include "krakend/core/peer.h"

namespace krakend::p2p {

/// The torrent log as uber/kraken writes it (contract p2p §14): a record an event, for programs that read it.
/// Loop thread.
class TorrentLog {
 public:
  /// What one peer and we have done for each other.
  struct Tally {
    uint64_t requests_sent = 0;
    uint64_t good_pieces = 0;
    uint64_t duplicate_pieces = 0;
    uint64_t requests_received = 0;
    uint64_t pieces_sent = 0;
  };
  using Tallies = std::map<PeerId, Tally>;

  TorrentLog() = default;
  /// `constant`: fields of every record besides peer_id.
  TorrentLog(Logger log, std::vector<LogField> constant)
      : log_(std::move(log)), constant_(std::move(constant)) {}
  void set_peer_id(const PeerId& id);

  void succeeded(const std::string& ns, const MetaInfo& info, double seconds) const;
  void failed(const std::string& ns, const MetaInfo& info, std::string_view error) const;
  /// An empty error: accepted.
  void connection(bool outgoing, const MetaInfo& info, const PeerId& peer, std::string_view error) const;
  void timed_out(bool seeding, const MetaInfo& info) const;
  /// Whom we got pieces from; nothing when nobody was asked.
  void seeders(const MetaInfo& info, const Tallies& tallies) const;
  /// Whom we gave pieces.
  void leechers(const MetaInfo& info, const Tallies& tallies) const;

 private:
  void write(LogLevel level, std::string_view message, std::vector<LogField> fields) const;

  Logger log_;
  std::vector<LogField> constant_;
};

}  // namespace krakend::p2p
