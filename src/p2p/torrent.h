#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "krakend/io/condition.h"
#include "p2p/connection.h"
#include "p2p/context.h"
#include "p2p/peer_backoff.h"
#include "p2p/piece_picker.h"
#include "p2p/prefix_hasher.h"
#include "p2p/request_table.h"
#include "p2p/super_seeder.h"

namespace krakend::p2p {

/// One blob in the swarm: feeds the deciders (PiecePicker, RequestTable, PeerBackoff) with what its
/// connections report, and acts on what they decide. Leeching until every piece is there and the SHA-256 of
/// the whole matched, then seeding. Loop thread. Tasks of a torrent hold it by shared_ptr and run in the
/// engine's group.
///
/// Deviations from the reference, all invisible or harmless to its peers (contract p2p §19): requests of a
/// lost, failing or silent peer are asked for elsewhere at once; refused dials cost a short growing pause
/// instead of the blacklist; no ANNOUNCE goes to peers that have the piece; a peer that sends wrong bytes is
/// dropped.
class Torrent : public std::enable_shared_from_this<Torrent> {
 public:
  /// Bytes at the end that readers do not get before the SHA-256 matched.
  static constexpr uint64_t holdback = 64 * KiB;
  static constexpr Duration watch_interval = 50ms;
  /// Of those, between two looks at silent peers.
  static constexpr unsigned watches_per_check = 5;
  /// A request that is older may be made once more elsewhere, when there is nothing else left to ask for.
  static constexpr Duration endgame_age = 150ms;
  /// With fewer sources than this, each is asked for as much as the pipeline limits allow.
  static constexpr size_t few_sources = 4;
  static constexpr Duration helpless_after = 3s;

  /// Leecher.
  Torrent(ContextPtr context, std::string ns, storage::PartialBlobPtr partial);
  /// Seeder.
  Torrent(ContextPtr context, std::string ns, MetaInfo info, storage::BlobPtr blob);

  /// Spawns the leecher's tasks.
  void start();
  /// Ends it: readers and tasks see `why`, connections close. Idempotent.
  void fail_with(Error why);

  const MetaInfo& info() const { return *info_; }
  const std::string& ns() const { return ns_; }
  bool complete() const { return complete_; }
  bool failed() const { return failure_.has_value(); }
  const std::optional<Error>& failure() const { return failure_; }
  /// Complete and without connections or readers since.
  TimePoint last_used() const { return last_used_; }
  bool idle() const { return peers_.empty() && dialing_.empty() && readers_ == 0; }
  /// Nobody reads it, and no peer lacks any of it.
  bool wanted_by_nobody() const;
  TorrentStatus status() const;
  /// At its end: whom it gave pieces, for the torrent log.
  void log_leechers() const { context_->torrent_log.leechers(*info_, tallies_); }
  /// Closes connections over which nothing useful moved for `conn_tti`.
  void close_idle_connections(TimePoint now);
  /// An origin shows more to peers that get nowhere. Called every second.
  void help_peers(TimePoint now);

  /// A reader over the blob; what has been verified is readable at once.
  io::ContentPtr open_reader();

  /// An incoming handshake for this torrent was read. Replies and keeps the stream, or closes it.
  Task<> accept(io::StreamPtr stream, Handshake peer);
  /// Deletes the partial file; after fail_with().
  Task<> discard();

 private:
  friend class TorrentReader;

  // torrent_peers.cpp: who is connected
  Task<> announce_loop(std::shared_ptr<Torrent> self);
  Task<> announce_complete(std::shared_ptr<Torrent> self);
  Task<std::optional<Duration>> announce_once(bool complete);
  void dial_peers(const std::vector<PeerInfo>& peers);
  Task<> dial(std::shared_ptr<Torrent> self, PeerInfo peer);
  Task<Result<void>> handshake_as_opener(io::StreamPtr stream, PeerInfo peer);
  Handshake own_handshake(bool opener, Bitfield shown) const;
  bool has_room() const { return peers_.size() + dialing_.size() < context_->options.max_open_conn; }
  bool may_replace(const Connection& old) const;
  void add_connection(io::StreamPtr stream, Handshake peer, bool origin, bool opener);
  void drop_connection(const ConnectionPtr& connection);
  /// Whether the bytes of the piece on disk are what they should be.
  Task<bool> may_send(PieceIndex index);
  Task<Result<uint64_t>> check_for_reader(uint64_t offset);
  Task<> watch_loop(std::shared_ptr<Torrent> self);
  void check_stalled(const ConnectionPtr& connection, TimePoint now);

  // torrent_messages.cpp: what they say
  Task<> read_loop(std::shared_ptr<Torrent> self, ConnectionPtr connection);
  Task<Result<void>> handle(ConnectionPtr connection, Message message);
  void on_read_failure(Connection& connection, const Error& error);
  Result<void> on_request(Connection& connection, const PieceRequest& request);
  Result<void> on_announce(Connection& connection, const AnnouncePiece& announce);
  void on_error(Connection& connection, const PieceError& error);
  void on_complete(Connection& connection);
  Task<Result<void>> on_payload(ConnectionPtr connection, PiecePayload payload);
  Task<Result<void>> store_piece(ConnectionPtr connection, PieceIndex index);
  Task<Result<uint32_t>> receive_limited(Connection& connection, uint64_t offset, uint64_t length,
                                         io::ByteSink* tap);
  Task<Result<uint32_t>> receive_piece(Connection& connection, PieceIndex index);
  void piece_arrived(Connection& connection, PieceIndex index);
  void release_requests(const PeerId& peer);

  // torrent_requests.cpp: whom to ask for what
  void request_more();
  ConnectionPtr choose_connection(unsigned depth);
  unsigned depth_limit(const Connection& connection) const;
  bool request_from(Connection& connection);
  /// What a reader of a part waits for and nobody shows: origins have all there is.
  void request_from_origins();
  void request_duplicates();
  void send_request(Connection& connection, PieceIndex piece);
  /// Tells the process's budget what has changed in the table.
  void settle_budget();
  double typical_piece_time() const;

  // super-seeding
  bool super_seeding() const { return seeder_ != nullptr; }
  void show(const std::vector<SuperSeeder::Shown>& shown);

  // torrent.cpp: the blob
  Task<> hash_loop(std::shared_ptr<Torrent> self);
  Task<> recheck();
  Task<> finish();
  void log_finished() const;
  uint64_t prefix_bytes() const;
  uint64_t readable_end() const;
  uint64_t checked_end(uint64_t offset) const;

  ContextPtr context_;
  std::string ns_;
  std::shared_ptr<const MetaInfo> info_;
  storage::PartialBlobPtr partial_;  ///< while leeching
  storage::BlobPtr blob_;            ///< of a seeder that was on disk: checked before it is served
  io::FilePtr file_;
  PrefixHasher hasher_;
  Bitfield have_;
  Bitfield receiving_;       ///< pieces whose bytes are arriving right now
  uint32_t prefix_ = 0;      ///< pieces 0 … prefix_-1 are all there
  bool complete_ = false;    ///< all there and the SHA-256 matched
  bool committing_ = false;  ///< complete, and on its way into the cache
  std::optional<Error> failure_;
  uint64_t generation_ = 0;  ///< grows when bytes that readers may have got turn out wrong

  PiecePicker picker_;
  RequestTable requests_;
  size_t budgeted_ = 0;                  ///< requests that the budget knows of
  std::unique_ptr<SuperSeeder> seeder_;  ///< of an origin's complete blob
  PeerBackoff backoff_;
  std::map<PeerId, ConnectionPtr> peers_;
  std::unordered_set<PeerId> dialing_;
  std::unordered_map<PeerId, bool> known_origins_;

  io::Condition progress_;  ///< a piece arrived, the hash advanced, completion, failure
  io::Condition starved_;   ///< wakes the announcer early
  size_t readers_ = 0;
  uint64_t last_reader_ = 0;
  std::set<uint64_t> range_readers_;  ///< of a part, who do not wait for what lies before it
  TimePoint started_;
  TimePoint finished_;
  TimePoint last_piece_;
  TimePoint last_used_;
  uint64_t from_origins_ = 0;  ///< bytes
  uint64_t from_peers_ = 0;
  uint64_t sent_ = 0;
  uint64_t retries_ = 0;  ///< requests that had to be made again
  uint32_t resumed_pieces_ = 0;
  /// For the torrent log; peers beyond that many are not counted.
  static constexpr size_t max_tallies = 10'000;
  TorrentLog::Tally& tally(const PeerId& peer);
  TorrentLog::Tallies tallies_;
  std::map<std::string, uint64_t> by_address_;  ///< bytes received, for the log line
};
using TorrentPtr = std::shared_ptr<Torrent>;

}  // namespace krakend::p2p
