#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "krakend/core/metainfo.h"
#include "krakend/core/time.h"
#include "krakend/core/units.h"
#include "krakend/io/bandwidth.h"
#include "krakend/io/condition.h"
#include "krakend/io/net.h"
#include "p2p/backlog.h"
#include "p2p/message.h"
#include "p2p/meter.h"
#include "p2p/source_chooser.h"
#include "p2p/upload_turns.h"

namespace krakend::p2p {

struct PeerCounts;

/// The link to one peer for one torrent, after the handshake: what we know of the peer, and the queue of what
/// goes out. Control frames always go before the next payload. Owned by the torrent; its reader and writer
/// tasks keep it alive. Loop thread.
class Connection {
 public:
  /// Bytes of control frames waiting to be written; a peer that does not read them is dropped.
  static constexpr size_t max_queued_control = 4 * MiB;
  /// Of a piece, towards a peer that speaks the extension: what a control frame waits for is what leaves in
  /// `portion_seconds`, at least `least_portion` bytes.
  static constexpr uint64_t least_portion = 256 * KiB;
  static constexpr double portion_seconds = 0.02;
  /// What may wait in the socket is what leaves in so long, at least `least_backlog` bytes: behind it, too, a
  /// control frame would wait. With little, a fast link stands still until its sender is woken.
  static constexpr double socket_backlog_seconds = 0.005;
  static constexpr uint64_t least_backlog = 128 * KiB;
  /// Who takes less than this of a payload in the time between two looks has come to a halt, where our link
  /// is known to bring so many times as much.
  static constexpr uint64_t taken_at_least = 64 * KiB;
  static constexpr double taken_seconds_at_least = 1.0 / 64;

  /// `backlog` is the engine's and outlives the connection; `info` is the torrent's. `told` is what our own
  /// handshake said of our load.
  Connection(io::Loop& loop, Backlog& backlog, std::shared_ptr<const MetaInfo> info, io::StreamPtr stream,
             Handshake peer, const std::optional<Load>& told, bool origin, bool opener, TimePoint now);
  ~Connection();

  const PeerId& id() const { return id_; }
  const Bitfield& have() const { return have_; }
  Bitfield& have() { return have_; }
  bool origin() const { return origin_; }
  bool opener() const { return opener_; }
  /// Both sides speak the extension (message.h).
  bool extended() const { return extended_; }
  const io::Address& address() const { return stream_->peer(); }
  io::Stream& stream() { return *stream_; }

  void send(const Message& message);
  /// Of one message, encoded: for what many are told.
  void send_frame(const std::string& frame);
  /// Queues a piece; false when `most` are queued already.
  bool send_piece(PieceIndex index, TimePoint now, size_t most);
  size_t queued_pieces() const { return pieces_.size(); }
  /// Our load, for a message to the peer: what it was told last is kept.
  Load tell_load(TimePoint now) {
    const Load ours = backlog_.load();
    told(ours, now);
    return ours;
  }
  void told(const Load& ours, TimePoint now) { told_load_.tell(ours, now); }
  /// Whether what the peer reckons of our queue is less than `least` bytes from what it is.
  bool knows_load(uint64_t least, TimePoint now) const;
  /// To be called about once a second: what a peer wants that takes nothing stands in nobody's way, and is no
  /// part of our load until it takes something.
  void look_for_halt(TimePoint now);
  /// Whether the piece is queued, and not being sent yet.
  bool asks_for(PieceIndex index) const;
  /// Takes a queued piece back; false when it is not queued, or being sent already.
  bool cancel_piece(PieceIndex index);
  /// Ends both tasks soon. Idempotent.
  void close();
  bool closed() const { return closed_; }
  /// It was closed because the peer did not read what it was told.
  bool unread() const { return control_.size() > max_queued_control; }
  /// Whether new requests may go there.
  bool askable(TimePoint now) const { return !closed_ && !snubbed && !retiring && now >= not_before; }

  struct Payload {
    io::FilePtr file;
    /// Of the engine; they outlive the connection.
    io::Bandwidth* egress = nullptr;
    UploadTurns* turns = nullptr;
    io::Clock* clock = nullptr;
    /// Asked before each payload; when it says no the connection closes.
    std::function<Task<bool>(PieceIndex)> may_send;
    /// Told after each payload.
    std::function<void(PieceIndex)> sent;
  };
  /// Writes what is queued until the connection closes.
  static Task<> write_loop(std::shared_ptr<Connection> self, Payload payload);

  // Bookkeeping of the torrent. What is looked at for every neighbour at every message stands together: with
  // thousands of connections each line of it is a cache miss.
  bool snubbed = false;    ///< went silent with requests open: gets no new ones until it delivers
  bool retiring = false;   ///< too old: gets no new requests, and goes when those it has are answered
  bool receiving = false;  ///< the bytes of a wanted piece are arriving

 private:
  bool closed_ = false;
  bool origin_;
  bool opener_;
  bool extended_;
  bool writing_ = true;  ///< the stream belongs to the writer task, which has not begun, or is at it
  bool halted_ = false;  ///< the peer takes nothing: what it wants is not in the backlog
  ToldLoad told_load_;   ///< of ours, to the peer

 public:
  PeerCounts* counted = nullptr;  ///< the torrent's, of this peer, where it has been looked for
  TimePoint not_before{};         ///< the peer has declined a request: it is not asked earlier
  ToldLoad load;                  ///< of the peer

 private:
  Bitfield have_;
  PeerId id_;
  io::StreamPtr stream_;
  std::string control_;

 public:
  TimePoint since;  ///< when the handshake was done
  Meter incoming;   ///< all bytes
  Meter outgoing;
  uint64_t received = 0;  ///< bytes of good pieces from this peer
  uint64_t sent = 0;      ///< bytes of pieces to this peer
  PieceIndex receiving_piece = 0;
  TimePoint receiving_since;
  uint64_t useless = 0;                     ///< messages that helped nobody
  uint64_t reports = 0;                     ///< of the peer's load
  uint64_t seen_bytes = 0;                  ///< stream.bytes_received() at the last look
  TimePoint last_progress;                  ///< when seen_bytes last grew
  TimePoint last_useful;                    ///< when a piece last moved in either direction
  std::optional<TimePoint> sending_since;   ///< the piece that is being sent
  TimePoint last_taken;                     ///< when the peer last got a piece, from us or as it says
  PieceTimes times;                         ///< how fast the peer delivers
  std::optional<TimePoint> declined_since;  ///< requests of the peer, without one that was answered
  unsigned declines = 0;                    ///< of ours in a row

 private:
  /// When the piece in front was asked for, as the line of those who wait for a turn sees it.
  TimePoint place_in_line() const;
  /// A turn for the piece in front; nullopt when there is something else to do first.
  Task<std::optional<UploadTurns::Turn>> wait_for_turn(UploadTurns& turns, io::Clock& clock);
  Task<bool> write_control();
  void fit_socket_backlog();
  Task<bool> write_piece(PieceIndex index, const Payload& payload);
  Task<bool> write_portion(PiecePayload header, const Payload& payload);

  void forget(PieceIndex index);
  void set_halted(bool halted);

  Backlog& backlog_;
  std::shared_ptr<const MetaInfo> info_;
  struct Asked {
    PieceIndex piece;
    TimePoint at;
    bool waited = false;  ///< for its turn, and that is counted
  };
  std::deque<Asked> pieces_;
  uint64_t to_send_ = 0;    ///< bytes of payload; in the backlog, unless halted
  uint64_t seen_sent_ = 0;  ///< bytes of the stream, at the last look for a halt
  uint64_t socket_backlog_ = least_backlog;
  io::Condition wake_;
};
using ConnectionPtr = std::shared_ptr<Connection>;

}  // namespace krakend::p2p
