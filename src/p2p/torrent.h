#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "krakend/core/flat_map.h"
#include "krakend/io/condition.h"
#include "p2p/connection.h"
#include "p2p/context.h"
#include "p2p/meter.h"
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
/// Deviations from the reference, all invisible or harmless to its peers (contract p2p §19):
/// - requests of a lost, failing or silent peer are asked for elsewhere at once, what is asked for twice is
///   cancelled when it arrives, and endgame is about time, not about the last pieces;
/// - refused dials and ended links cost a short growing pause, faults the blacklist's period; a peer that
///   sends wrong bytes is banned for the torrent, a host under which three such came as well;
/// - the blacklist holds for incoming links too, and a link that died is replaced when its peer comes again;
///   of two that dial each other one link stays;
/// - no ANNOUNCE goes to peers that have the piece; bitfields, lengths and indices are checked;
/// - a seeder in use is not closed: seeder_tti counts from the last use;
/// - every torrent announces for itself, and at once when it has nobody;
/// - a download that fails keeps its pieces for the next attempt; without hope it fails early;
/// - a partial blob on disk is fetched on when somebody wants it, not when a peer asks for it.
class Torrent : public std::enable_shared_from_this<Torrent> {
 public:
  /// Bytes at the end that readers do not get before the SHA-256 matched.
  static constexpr uint64_t holdback = 64 * KiB;
  static constexpr Duration watch_interval = 50ms;
  /// What a crash of the process costs is what came in this time.
  static constexpr Duration mark_interval = 50ms;
  /// Of the prefix, before it is hashed on, but for the end.
  static constexpr uint64_t hash_step = 1 * MiB;
  /// Of those, between two looks at silent peers.
  static constexpr unsigned watches_per_check = 5;
  /// A request that is older may be made once more elsewhere, when there is nothing else left to ask for.
  static constexpr Duration endgame_age = 150ms;
  /// Between two looks for such: each looks at every neighbour.
  static constexpr Duration duplicates_pause = 5ms;
  /// With fewer sources than this, each is asked for as much as the pipeline limits allow.
  static constexpr size_t few_sources = 4;
  static constexpr size_t max_counted = 1024;
  static constexpr Duration helpless_after = 3s;
  /// A transfer from an origin that takes longer than this, and than so many times the usual, goes to a slow
  /// peer; one that takes nothing for that time and a little more is slow as well.
  static constexpr Duration slow_transfer = 300ms;
  static constexpr double slow_transfer_factor = 2;
  static constexpr double slow_to_take = 1;  ///< seconds more
  /// A peer that has more to send than so many pieces, and than it sends in so many seconds, is not asked,
  /// and declines what it is asked for: longer queues here are idle links elsewhere.
  static constexpr uint64_t longest_queue = 5;
  static constexpr double longest_queue_seconds = 0.07;
  /// Neighbours are told our load again when what they reckon is off by what leaves in so long, at least by a
  /// piece.
  static constexpr double told_again_seconds = 0.04;
  /// Of one peer: what nobody else has, or all are busy with, must come in the end.
  static constexpr Duration longest_declined = 1s;
  /// Who has declined is left alone for so long, whatever it says of its load; twice as long each further
  /// time, so often: thousands that wait for one origin must not keep it busy with saying no.
  static constexpr Duration decline_pause = 20ms;
  static constexpr unsigned max_doublings = 4;
  /// Without a piece, and with nobody asked, for so long: what the others say of their load is not believed
  /// any more, and one of them is asked.
  static constexpr Duration starved_after = 1s;
  /// A newcomer has few requests open: one, two more for each piece it has, and one more for each so long a
  /// time without a piece. A few pieces that arrive soon can be passed on while many that arrive together
  /// cannot.
  static constexpr uint64_t young_requests = 1;
  static constexpr uint64_t young_requests_of_piece = 2;
  static constexpr Duration young_step = 150ms;
  /// Pieces; a request that has more than these before it is worth moving to a peer with at most one and a
  /// half.
  static constexpr uint64_t busy_queue = 3;
  /// A download that takes longer has an origin among its sources; so long between two that are opened.
  static constexpr Duration origin_patience = 2s;
  /// With nobody to ask at all it fails after this; options.no_peer_timeout holds while somebody is named.
  static constexpr Duration hopeless_after = 10s;
  /// Messages without any use that a peer may send: so many, and so many for each piece.
  static constexpr uint64_t max_useless = 1000;
  static constexpr uint64_t max_useless_of_piece = 4;
  /// Reports of its load beyond these are of no use; a peer sends 20 a second at most, but they may pile up.
  static constexpr double max_reports_at_once = 1000;
  static constexpr double max_reports_a_second = 40;
  /// Messages of one peer that are handled before others have their turn.
  static constexpr unsigned messages_in_a_row = 32;
  /// A piece may take so many times what it takes with others, if one of these has it; at least this long.
  static constexpr double slow_factor = 10;
  static constexpr Duration slow_at_least = 2s;

  /// Leecher.
  Torrent(ContextPtr context, std::string ns, storage::PartialBlobPtr partial);
  /// Seeder.
  Torrent(ContextPtr context, std::string ns, MetaInfo info, storage::BlobPtr blob);

  ~Torrent();
  Torrent(const Torrent&) = delete;
  Torrent& operator=(const Torrent&) = delete;

  /// Spawns the leecher's tasks.
  void start();
  /// Tells the network events that it exists.
  void announce_itself() const;
  /// The engine's options have changed.
  void configured();
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
  void append_blacklist(std::vector<BlacklistEntry>& all) const;
  /// Adds what this torrent uses.
  void add_use(SwarmUse& use) const;
  /// Closes connections over which nothing useful moved for `conn_tti`, and those older than `conn_ttl`.
  void close_old_connections(TimePoint now);
  /// Reads the connections' counters. Called every second.
  void measure(TimePoint now);
  /// An origin shows more to peers that get nowhere. Called every second.
  void help_peers(TimePoint now);
  /// An origin shows to others what a peer is slow to take. Called often while something is sent.
  void doubt_slow_peers(TimePoint now);
  /// Tells peers that lack something what we have to send, where that has changed much.
  void report_load();

  /// A reader over the blob; what has been verified is readable at once.
  io::ContentPtr open_reader();

  /// An incoming handshake for this torrent was read. Replies and keeps the stream, or closes it.
  Task<> accept(io::StreamPtr stream, Handshake peer);
  /// Deletes the partial file; after fail_with().
  Task<> discard();
  /// Notes on disk which pieces have come, so that another run goes on from there.
  Task<Result<void>> mark_pieces();

 private:
  friend class TorrentReader;

  // torrent_peers.cpp: who is connected
  Task<> announce_loop(std::shared_ptr<Torrent> self);
  Task<> announce_complete(std::shared_ptr<Torrent> self);
  Task<std::optional<Duration>> announce_once(bool complete);
  void dial_peers(const std::vector<PeerInfo>& peers);
  bool start_dial(const PeerInfo& peer, TimePoint now);
  bool too_mutual(const std::vector<PeerId>& neighbours) const;
  Task<> dial(std::shared_ptr<Torrent> self, PeerInfo peer);
  Task<Result<void>> handshake_as_opener(io::StreamPtr stream, PeerInfo peer, Duration& busy_for);
  Duration leave_alone(const PeerId& peer, const Error& error, Duration busy_for, TimePoint now);
  Task<> say_busy(io::StreamPtr stream, const Handshake& peer);
  uint32_t own_extension() const;
  Handshake own_handshake(uint32_t extension, bool opener, Bitfield shown) const;
  bool has_room() const { return peers_.size() + dialing_.size() < context_->options.max_open_conn; }
  bool is_full() const;
  bool may_replace(const Connection& old) const;
  /// `told`: what our handshake said of our load.
  void add_connection(io::StreamPtr stream, Handshake peer, const std::optional<Load>& told, bool origin,
                      bool opener);
  void drop_connection(const ConnectionPtr& connection);
  void note_blacklisted(const PeerId& peer, Duration pause) const;
  /// When all places are taken: the connection that has been of no use longest gives way.
  bool make_room(TimePoint now);
  /// Receives a piece from this one much more slowly than others deliver.
  bool is_too_slow(const Connection& connection, TimePoint now) const;
  /// Opens to an origin when the swarm gives less than one alone would.
  void seek_origins(TimePoint now);
  void give_up_without_peers(TimePoint now);
  std::string waits_for() const;
  /// Whether the bytes of the piece on disk are what they should be.
  Task<bool> may_send(PieceIndex index);
  Task<Result<uint64_t>> check_for_reader(uint64_t offset);
  Task<> watch_loop(std::shared_ptr<Torrent> self);
  void check_stalled(const ConnectionPtr& connection, TimePoint now);

  // torrent_messages.cpp: what they say
  class Inbox;
  Task<> read_loop(std::shared_ptr<Torrent> self, ConnectionPtr connection);
  /// Anything but a payload.
  Result<void> handle(Connection& connection, const Message& message);
  void on_read_failure(Connection& connection, const Error& error);
  Result<void> on_request(Connection& connection, const PieceRequest& request);
  Result<void> on_announce(Connection& connection, const AnnouncePiece& announce);
  Result<void> on_error(Connection& connection, const PieceError& error);
  Result<void> on_complete(Connection& connection);
  Result<void> on_report(Connection& connection, const LoadReport& report);
  Result<void> on_cancel(Connection& connection, const CancelPiece& cancel);
  bool declines(Connection& connection) const;
  /// Counts a message that helps nobody; a flood of them ends the connection.
  Result<void> useless(Connection& connection);
  Task<Result<void>> on_payload(ConnectionPtr connection, PiecePayload payload);
  Task<Result<void>> store_piece(ConnectionPtr connection, PiecePayload first);
  Task<Result<uint32_t>> receive_limited(Connection& connection, uint64_t offset, uint64_t length,
                                         io::ByteSink* tap);
  Task<Result<uint32_t>> receive_piece(ConnectionPtr connection, PiecePayload first);
  Task<Result<uint32_t>> receive_portions(ConnectionPtr connection, PiecePayload portion, io::ByteSink* tap);
  Task<Result<PiecePayload>> next_portion(ConnectionPtr connection, PieceIndex index, uint64_t at);
  Task<Result<void>> drain(ConnectionPtr connection, PiecePayload payload);
  /// Of one piece, encoded once for however many peers are told.
  struct Announcement {
    Load load;     ///< what it tells
    TimePoint at;  ///< when that was so
    std::string plain;
    std::string extended;  ///< for who speaks the extension
  };
  Announcement announcement_of(PieceIndex index) const;
  static void announce(Connection& peer, const Announcement& piece);
  /// Of our load, the same way.
  struct Report {
    Load load;
    TimePoint at;
    uint64_t least;  ///< bytes that a peer's reckoning may not be off
    std::string frame;
  };
  Report load_report() const;
  /// Where the peer lacks something and does not know it.
  static void report(Connection& peer, const Report& load);
  void piece_arrived(Connection& connection, PieceIndex index);
  /// May be asked for again, unless somebody else is asked for it or sends it.
  void release_unless_asked(PieceIndex index);
  void release_requests(const PeerId& peer);

  // torrent_requests.cpp: whom to ask for what
  void request_more();
  /// Gives the room of a piece that has arrived to the torrents of the process in turn.
  void request_in_turn();
  /// Somebody has a piece that we lack.
  void request_announced(const Connection& teller);
  ConnectionPtr busiest(double seconds, TimePoint now) const;
  void move_request_to(Connection& idle);
  void become_hungry();
  ConnectionPtr choose_connection(unsigned depth);
  unsigned depth_limit(const Connection& connection) const;
  /// Seconds until it would deliver one more piece; nullopt: it has enough to do.
  std::optional<double> expected_wait(const Connection& connection) const;
  /// Bytes that a peer of that rate may have to send and still be asked.
  uint64_t most_queued(uint64_t rate) const;
  bool is_starved(TimePoint now) const;
  /// Whether there is room for one more request.
  bool seeks_something_rare() const;
  bool may_request() const;
  bool request_from(Connection& connection);
  /// What a client waits for right now, from the neighbour that delivers it first.
  void request_for_readers();
  /// What a reader of a part waits for and nobody shows: origins have all there is.
  void request_from_origins();
  void request_duplicates();
  void send_request(Connection& connection, PieceIndex piece);
  /// Tells the process's budget what has changed in the table.
  void settle_budget();
  PeerCounts* counts(Connection& connection);
  Duration longest_wait() const;
  double typical_piece_time() const;
  Duration duplicate_age() const;

  // super-seeding
  void note_transfer(const PeerId& peer, double seconds);
  /// Seconds after which a transfer is slow.
  double transfer_patience() const;
  bool super_seeding() const { return seeder_ != nullptr; }
  void show(const std::vector<SuperSeeder::Shown>& shown);
  /// Whether the peer is told to get the piece elsewhere, because others wait for what nobody has yet.
  bool refuse_repeated(Connection& connection, PieceIndex piece);
  /// The peer is being sent the piece: who else has asked for it is told to get it there.
  void begin_giving(Connection& connection, PieceIndex piece);

  // torrent.cpp: the blob
  Task<> hash_loop(std::shared_ptr<Torrent> self);
  Task<> mark_soon(std::shared_ptr<Torrent> self);
  void fail_on_disk(const Error& error);
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
  std::vector<PieceIndex> unmarked_;  ///< of have_: not noted on disk yet
  bool marking_ = false;              ///< some are being noted
  Bitfield receiving_;                ///< pieces whose bytes are arriving right now
  uint32_t prefix_ = 0;               ///< pieces 0 … prefix_-1 are all there
  bool complete_ = false;             ///< all there and the SHA-256 matched
  bool committing_ = false;           ///< complete, and on its way into the cache
  std::optional<Error> failure_;
  uint64_t generation_ = 0;  ///< grows when bytes that readers may have got turn out wrong

  PiecePicker picker_;
  RequestTable requests_;
  bool hungry_ = false;        ///< among the context's hungry ones
  size_t answering_ = 0;       ///< peers that are told that they are let in
  size_t budgeted_ = 0;        ///< requests that the budget knows of
  TimePoint first_request_{};  ///< not yet: none
  TimePoint next_duplicates_{};
  std::unique_ptr<SuperSeeder> seeder_;  ///< of an origin's complete blob
  double transfer_seconds_ = 0;          ///< that sending a piece takes, smoothed; 0: none was sent
  PeerBackoff backoff_;
  FlatMap<PeerId, ConnectionPtr> peers_;
  std::unordered_set<PeerId> dialing_;
  std::unordered_map<PeerId, bool> known_origins_;
  std::vector<PeerInfo> origins_;  ///< that the last announce named
  PeerCountsMap counts_;           ///< of the first max_counted peers
  Meter intake_;                   ///< good pieces
  TimePoint last_origin_sought_;
  // Whether there is hope while nobody is connected.
  TimePoint last_company_;      ///< a peer was connected, or answered a dial
  unsigned unreachable_ = 0;    ///< dials since then that nobody answered
  size_t named_ = 0;            ///< peers of the last announce that may be asked
  size_t banned_ = 0;           ///< and that may not, for wrong bytes
  std::string announce_error_;  ///< of the last announce; empty: it was answered

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
  std::map<std::string, uint64_t> by_address_;  ///< bytes received, for the log line
};
using TorrentPtr = std::shared_ptr<Torrent>;

}  // namespace krakend::p2p
