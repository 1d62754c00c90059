#pragma once

#include <compare>
#include <cstdint>
#include <vector>

#include "krakend/core/bitfield.h"
#include "krakend/core/flat_map.h"
#include "krakend/core/ids.h"
#include "krakend/core/metainfo.h"

namespace krakend::p2p {

/// What an origin shows of a blob to each of its peers: a few pieces at a time that nobody was given yet,
/// then those that the fewest have, lowest index first. So different pieces leave it, each about once, and
/// the peers get the rest from each other. On the wire it is an incomplete bitfield that grows by
/// ANNOUNCE_PIECE. A lone peer is shown everything, and so is a reference peer: with its few neighbours it
/// waits for what others do not pass on in time. Pure: no clock, no I/O.
class SuperSeeder {
 public:
  explicit SuperSeeder(uint32_t pieces)
      : given_(pieces, 0),
        copies_(pieces, 0),
        uncounted_(pieces, true),
        doubtful_(pieces),
        never_given_(pieces) {}

  struct Shown {
    PeerId peer;
    PieceIndex piece;
  };
  /// A peer that has these pieces; returns the bitfield to greet it with.
  /// `sees_all`: it is shown everything at once.
  Bitfield add_peer(const PeerId& peer, const Bitfield& have, bool sees_all = false);
  /// Returns what others are to be shown now.
  std::vector<Shown> remove_peer(const PeerId& peer);
  /// The peer was sent the piece, or says that it has it; returns what it is to be shown now.
  std::vector<Shown> took(const PeerId& peer, PieceIndex piece, bool from_here);

  /// The piece begins to go to the peer: others need not be shown it.
  void begins(const PeerId& peer, PieceIndex piece);
  /// Whether the peer can have the piece, which it was shown, from another one that has it or is being sent
  /// it, while there is something left that nobody was given.
  bool is_elsewhere(const PeerId& peer, PieceIndex piece) const;
  /// The peer was shown the piece, asked for it and does not get it; returns what it is to be shown instead.
  std::vector<Shown> refused(const PeerId& peer, PieceIndex piece);

  /// The peer has got nothing for a while, from here or elsewhere: maybe it reaches nobody else. From now on
  /// it is shown all there is, little by little.
  std::vector<Shown> help(const PeerId& peer);

  /// The peer is slow: what it has or was shown does not count any more, so that others are shown it as well,
  /// after what nobody was shown yet. Nobody should have to wait for what only a slow peer can give.
  std::vector<Shown> doubt(const PeerId& peer);
  /// It is not slow any more.
  void trust(const PeerId& peer);

  /// Pieces shown to each of so many peers that they do not have yet.
  static uint32_t shown_at_a_time(size_t peers);

 private:
  struct Peer;
  /// Which of 64 pieces may be shown to the peer, which is not the only one.
  uint64_t worth_showing(const Peer& peer, size_t word) const;
  struct Peer {
    bool needy = false;  ///< the others do not give it what it lacks
    bool slow = false;   ///< nothing of it counts
    Bitfield have;
    Bitfield shown;
    /// What it has, and of what it is shown so much as it is supposed to take next: that is not shown to
    /// others.
    Bitfield counted;
    Bitfield taking;            ///< has been sent, or is being sent
    uint32_t open = 0;          ///< shown, and not taken yet
    uint32_t open_counted = 0;  ///< of those
  };
  void count(Peer& peer, PieceIndex piece);
  void count_what_it_has(Peer& peer);
  void uncount(Peer& peer, PieceIndex piece);
  void forget_given();
  /// The lowest is shown first: what was never sent, of that what the fewest are to have, of that what nobody
  /// is slow to take.
  struct Rank {
    bool given;
    uint32_t copies;
    bool doubtful;
    auto operator<=>(const Rank&) const = default;
  };
  static constexpr Rank best_rank{};
  Rank rank(PieceIndex piece) const { return {given_[piece] > 0, copies_[piece], doubtful_.test(piece)}; }
  /// There are more peers now: each is supposed to take less.
  void trim(Peer& peer);
  /// Pieces that a peer, which is not the only one, should see and not have yet.
  uint32_t wanted() const;
  /// Shows the peer more, up to what it should see; appends that to `out`.
  void show_more(const PeerId& id, Peer& peer, std::vector<Shown>& out);
  bool show_best(const PeerId& id, Peer& peer, std::vector<Shown>& out);
  void show_all(const PeerId& id, Peer& peer, std::vector<Shown>& out);
  void show(const PeerId& id, Peer& peer, PieceIndex piece, std::vector<Shown>& out);

  FlatMap<PeerId, Peer> peers_;
  std::vector<uint32_t> given_;   ///< times each piece was sent from here, since there were no peers
  std::vector<uint32_t> copies_;  ///< peers for which it is counted
  Bitfield uncounted_;            ///< for no peer
  Bitfield doubtful_;             ///< somebody was slow to take it
  uint32_t never_given_ = 0;      ///< pieces
};

}  // namespace krakend::p2p
