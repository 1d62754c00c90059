#pragma once

#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "krakend/core/ids.h"
#include "krakend/core/line_log.h"
#include "krakend/core/metainfo.h"
#include "krakend/io/clock.h"
#include "krakend/p2p/engine.h"

namespace krakend::p2p {

/// What was exchanged with one peer, for the summaries.
struct PeerCounts {
  uint64_t requests_sent = 0;
  uint64_t good_pieces_received = 0;
  uint64_t duplicate_pieces_received = 0;
  uint64_t requests_received = 0;
  uint64_t pieces_sent = 0;
};
using PeerCountsMap = std::map<PeerId, PeerCounts>;

/// scheduler.torrentlog: the reference's log of its torrents, messages and fields as there (contract p2p
/// §14). krakend's own log tells the same in its own words, so without a path nothing is written. Loop
/// thread.
class TorrentLog {
 public:
  TorrentLog(const io::Clock& clock, const EngineSelf& self) : clock_(clock), self_(self) {}
  void write_to(LineLog file, TorrentLogOptions options);

  enum class Side { outgoing, incoming };
  void connected(Side side, const MetaInfo& info, const PeerId& peer);
  void rejected(Side side, const MetaInfo& info, const PeerId& peer, std::string_view why);
  void seed_timeout(const MetaInfo& info);
  void leech_timeout(const MetaInfo& info);
  void download_success(std::string_view ns, const MetaInfo& info, double seconds);
  void download_failure(std::string_view ns, const MetaInfo& info, std::string_view why);
  /// Written when any request was sent.
  void seeder_summaries(const MetaInfo& info, const PeerCountsMap& peers);
  /// Written when any request was received.
  void leecher_summaries(const MetaInfo& info, const PeerCountsMap& peers);

 private:
  bool wanted(LogLevel level) const { return file_ && level >= options_.level; }
  bool sampled(std::string_view message);
  void write(LogLevel level, std::string_view message, const nlohmann::ordered_json& fields);
  nlohmann::ordered_json timestamp() const;
  nlohmann::ordered_json constants() const;

  /// Of one message in one second the first ones are written, then every so many-th.
  static constexpr uint64_t sample = 100;
  struct Seen {
    int64_t second = 0;
    uint64_t count = 0;
  };
  const io::Clock& clock_;
  const EngineSelf& self_;
  LineLog file_;
  TorrentLogOptions options_;
  std::map<std::string, Seen, std::less<>> seen_;  ///< by message: a fixed few
};

}  // namespace krakend::p2p
