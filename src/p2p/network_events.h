#pragma once

#include <optional>
#include <string_view>

#include "krakend/core/bitfield.h"
#include "krakend/core/ids.h"
#include "krakend/core/line_log.h"
#include "krakend/core/metainfo.h"
#include "krakend/core/time.h"
#include "krakend/io/clock.h"

namespace krakend::p2p {

/// The file that the reference's visualiser reads: one JSON object a line, keys and rules as there (contract
/// p2p §13). Costs nothing while no file is set. Loop thread.
class NetworkEvents {
 public:
  /// The visualiser stops at a line of more than 64 KiB: the bitfield of more pieces than this is left out.
  static constexpr uint32_t max_bitfield = 9'000;

  NetworkEvents(const io::Clock& clock, const PeerId& self) : clock_(clock), self_(self) {}
  void write_to(LineLog file) { file_ = std::move(file); }

  /// What an event has beside its torrent. Zero and empty values are not written, piece 0 neither.
  struct Details {
    std::optional<PeerId> peer = {};
    PieceIndex piece = 0;
    const Bitfield* bitfield = nullptr;
    Duration duration{};
    unsigned conn_capacity = 0;
  };
  void write(std::string_view event, const InfoHash& torrent, const Details& details) const {
    if (file_) write_line(event, torrent, details);
  }
  void write(std::string_view event, const InfoHash& torrent) const { write(event, torrent, Details{}); }
  void about_peer(std::string_view event, const InfoHash& torrent, const PeerId& peer) const {
    Details details;
    details.peer = peer;
    write(event, torrent, details);
  }
  void about_piece(std::string_view event, const InfoHash& torrent, const PeerId& peer,
                   PieceIndex piece) const {
    Details details;
    details.peer = peer;
    details.piece = piece;
    write(event, torrent, details);
  }

 private:
  void write_line(std::string_view event, const InfoHash& torrent, const Details& details) const;

  const io::Clock& clock_;
  const PeerId& self_;  ///< of the engine: known once it listens
  LineLog file_;
};

/// RFC 3339 in UTC, with nanoseconds but without zeros at the end.
std::string rfc3339(std::chrono::system_clock::time_point time);

}  // namespace krakend::p2p
