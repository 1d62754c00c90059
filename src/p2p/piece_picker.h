#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "krakend/core/bitfield.h"
#include "krakend/core/metainfo.h"

namespace krakend::p2p {

/// Decides which piece to ask a peer for. Pure: no clock, no I/O; randomness is an argument.
///
/// Half of the picks follow the read cursor of a waiting client (the lowest missing piece within a window),
/// the other half, and all when nobody reads, take the rarest piece among the connected peers with random
/// ties: what the client needs soonest and what the swarm needs most.
///
/// The pieces that may be picked lie in one bucket for each number of peers that have them, so that what is
/// said of a piece costs the same however many there are, and a pick looks at the rare ones first.
class PiecePicker {
 public:
  /// Pieces ahead of the cursor that count as "soon".
  static constexpr uint32_t cursor_window = 32;

  explicit PiecePicker(const Bitfield& have);
  /// Without it any piece is as good as the rarest (dispatch.piece_request_policy).
  void prefer_rare(bool on) { prefer_rare_ = on; }

  void add_peer(const Bitfield& pieces);
  void remove_peer(const Bitfield& pieces);
  /// A connected peer got one more piece.
  void add_piece(PieceIndex index) { count(index, availability_.at(index) + 1); }

  /// The piece is on its way from some peer; pick() leaves it alone until released.
  void mark_requested(PieceIndex index);
  void release(PieceIndex index);
  void mark_have(PieceIndex index);
  /// The piece turned out to be wrong: it is missing again.
  void mark_lost(PieceIndex index);
  /// Where a reader waits; readers are told apart by a number of the caller's.
  void set_cursor(uint64_t reader, PieceIndex index) { cursors_[reader] = index; }
  void drop_cursor(uint64_t reader) { cursors_.erase(reader); }
  /// Of each reader the first piece that it lacks, if somebody has it and nobody is asked for it.
  std::vector<PieceIndex> wanted() const;
  /// The first piece that this reader lacks and that nobody is asked for.
  std::optional<PieceIndex> wanted_by(uint64_t reader) const;

  /// Whether pick() would find anything.
  bool interested(const Bitfield& peer) const;
  /// A missing, unrequested piece that the peer has. `draw` is a uniform random number.
  std::optional<PieceIndex> pick(const Bitfield& peer, uint64_t draw) const;
  /// The same whatever a reader waits for.
  std::optional<PieceIndex> pick_rare(const Bitfield& peer, uint64_t draw) const;
  uint32_t availability(PieceIndex index) const { return availability_.at(index); }
  /// How many of the missing pieces are with 0, 1, 2 … connected peers.
  std::vector<uint32_t> rarity() const;

 private:
  uint64_t candidates(const Bitfield& peer, size_t word) const;
  std::optional<PieceIndex> first_from(PieceIndex cursor, const Bitfield& peer) const;
  std::optional<PieceIndex> rarest(const Bitfield& peer, uint64_t draw) const;
  std::optional<PieceIndex> any(const Bitfield& peer, uint64_t draw) const;
  void count(PieceIndex index, uint32_t peers);
  /// Puts the piece where it belongs: in the bucket of its availability, or in none.
  void file(PieceIndex index);
  void unfile(PieceIndex index);

  static constexpr uint32_t nowhere = UINT32_MAX;
  Bitfield have_;
  Bitfield requested_;
  std::vector<uint32_t> availability_;
  std::vector<std::vector<PieceIndex>> buckets_;  ///< missing, unrequested pieces by availability
  std::vector<uint32_t> place_;                   ///< of a piece in its bucket
  std::map<uint64_t, PieceIndex> cursors_;        ///< by reader
  bool prefer_rare_ = true;
};

}  // namespace krakend::p2p
