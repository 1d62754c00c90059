#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "krakend/core/bitfield.h"
#include "krakend/core/flat_map.h"
#include "krakend/core/ids.h"
#include "krakend/core/metainfo.h"
#include "krakend/core/time.h"

namespace krakend::p2p {

/// The piece requests of one torrent that have been sent and not been answered. Pure: time is an argument.
class RequestTable {
 public:
  void add(const PeerId& peer, PieceIndex piece, TimePoint now);
  /// Forgets one request; false when there was none.
  bool erase(const PeerId& peer, PieceIndex piece);
  /// Forgets all requests to a peer. Returns the pieces that nobody is asked for any more.
  std::vector<PieceIndex> erase_peer(const PeerId& peer);
  /// Forgets all requests for a piece. Returns whom they had been sent to.
  std::vector<PeerId> erase_piece(PieceIndex piece);

  bool requested(PieceIndex piece) const { return by_piece_.contains(piece); }
  unsigned outstanding(const PeerId& peer) const;
  std::vector<PieceIndex> of_peer(const PeerId& peer) const;
  /// When the oldest unanswered request to the peer was sent.
  std::optional<TimePoint> oldest(const PeerId& peer) const;
  bool empty() const { return by_piece_.empty(); }
  /// All requests, duplicates included.
  size_t size() const { return size_; }
  void clear();

  /// Endgame: the piece that has been waiting longest, at least `min_age`, asked of exactly one peer that is
  /// not `peer`, which has it too. At most one duplicate per piece, and none of those whose bytes are
  /// arriving: a second copy could not be kept.
  std::optional<PieceIndex> overdue_for(const PeerId& peer, const Bitfield& pieces, const Bitfield& arriving,
                                        TimePoint now, Duration min_age) const;
  /// Whether there is such a piece, whoever may have it.
  bool any_overdue(const Bitfield& arriving, TimePoint now, Duration min_age) const;

 private:
  struct Request {
    PeerId peer;
    TimePoint sent;
  };
  FlatMap<PieceIndex, std::vector<Request>> by_piece_;
  FlatMap<PeerId, std::vector<PieceIndex>> by_peer_;
  size_t size_ = 0;
};

}  // namespace krakend::p2p
