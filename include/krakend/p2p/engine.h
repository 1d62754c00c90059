#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "krakend/core/digest.h"
#include "krakend/core/log.h"
#include "krakend/core/metainfo.h"
#include "krakend/core/metrics.h"
#include "krakend/core/peer.h"
#include "krakend/core/time.h"
#include "krakend/core/units.h"
#include "krakend/io/bandwidth.h"
#include "krakend/io/clock.h"
#include "krakend/io/content.h"
#include "krakend/io/loop.h"
#include "krakend/io/net.h"
#include "krakend/io/random.h"
#include "krakend/storage/blob_store.h"

namespace krakend::p2p {

/// What the engine needs of a tracker; the role implements it over api::TrackerClient.
class Tracker {
 public:
  virtual ~Tracker() = default;
  /// not_found: no origin has the blob. Waits while an origin is still fetching it.
  virtual Task<Result<MetaInfo>> metainfo(std::string ns, Digest digest) = 0;
  virtual Task<Result<AnnounceResponse>> announce(AnnounceRequest request) = 0;
};

/// scheduler.torrentlog (contract p2p §14).
struct TorrentLogOptions {
  std::string path;  ///< empty: nothing is written
  LogLevel level = LogLevel::info;
  bool disable = false;
  bool json = false;
  std::string service_name;
  std::string time_encoder = "iso8601";  ///< or millis, nanos; anything else: seconds

  bool operator==(const TorrentLogOptions&) const = default;
};

/// network_event: the file of the visualiser (contract p2p §13).
struct NetworkEventOptions {
  bool enabled = false;
  std::string log_path;
};

/// dispatch.piece_request_policy: the rarest piece first, or any.
enum class PiecePolicy { rarest_first, random };

/// YAML `scheduler` (contract p2p §7–§10). Names follow the YAML keys.
struct EngineOptions {
  /// Connections per torrent, dialled and accepted together (connstate.max_open_conn).
  unsigned max_open_conn = 40;
  /// How many of them are dialled by this side: newcomers must find room.
  unsigned max_dial = 16;
  /// Of an incoming connection's neighbours so many may be ours too; 0: max_open_conn.
  unsigned max_mutual_conn = 0;
  /// A peer that failed or refused costs a short pause and no more; one that sent wrong bytes stays banned.
  bool disable_blacklist = false;
  /// How long a pair that failed is left alone (connstate.blacklist_duration).
  Duration blacklist_duration = 30s;
  Duration handshake_timeout = 5s;
  /// Outstanding piece requests to an agent and to an origin (dispatch.*), at most: where there are several
  /// to ask, each has one or two.
  unsigned pipeline_limit = 3;
  unsigned origin_pipeline_limit = 5;
  /// A request is asked for elsewhere after max(min_timeout, timeout_per_mb × MiB of a piece) at the latest.
  Duration piece_request_min_timeout = 4s;
  Duration piece_request_timeout_per_mb = 4s;
  PiecePolicy piece_request_policy = PiecePolicy::rarest_first;
  /// What others take long to deliver is asked for twice when no more pieces than this are missing; 0:
  /// whenever there is nothing else to ask for.
  unsigned endgame_threshold = 0;
  bool disable_endgame = false;
  /// Pieces that one peer may have asked for and not got (conn.sender_buffer_size).
  unsigned sender_buffer_size = 512;
  /// conn.bandwidth.*: all pieces together that are sent, and received.
  bool limit_bandwidth = false;
  uint64_t egress_bits_per_sec = 200 * 8 * MiB;
  uint64_t ingress_bits_per_sec = 300 * 8 * MiB;
  /// Origins show each peer a few pieces at a time, so that different ones leave them.
  bool super_seeding = true;
  /// Speaks the extension with peers that do, too (docs/swarm-extension.md).
  bool extension = true;
  /// A requested piece of which no byte arrives for this long is asked for elsewhere and the peer is dropped.
  Duration stall_timeout = 2s;
  /// An incomplete torrent without progress fails its readers after this.
  Duration leecher_tti = 5min;
  Duration seeder_tti = 5min;
  /// Idle connections are closed after this.
  Duration conn_tti = 30s;
  /// Connections are closed at this age; their peers connect again.
  Duration conn_ttl = 1h;
  /// Between two looks at conn_tti, conn_ttl and seeder_tti.
  Duration preemption_interval = 30s;
  /// Nothing is closed for its age or idleness.
  bool disable_preemption = false;
  /// A download to which no peer has been connected for this long fails.
  Duration no_peer_timeout = 30s;
  /// A reader of a part of an arriving blob gets pieces whose CRC-32 is right before the SHA-256 of the whole
  /// is known.
  bool serve_unverified_ranges = true;
  TorrentLogOptions torrent_log;
  NetworkEventOptions network_event;
};

struct EngineSelf {
  PeerId peer_id;
  std::string ip;  ///< announced
  int port = 0;    ///< announced and listened on; 0 picks a free one
  std::string listen_host = "0.0.0.0";
  bool origin = false;
  // For the torrent log alone.
  std::string zone;
  std::string cluster;
  std::string hostname;
};

/// Where the bytes of one answer came from.
enum class Source { disk, swarm };

/// A blob that can be read: complete on disk, or arriving from the swarm. The last bytes of an arriving blob
/// are held back until the SHA-256 of the whole has matched.
struct OpenedBlob {
  io::ContentPtr content;
  Source source = Source::disk;
};

struct PeerStatus {
  PeerId peer_id;
  std::string address;
  bool origin = false;
  bool opener = false;  ///< we dialled
  uint32_t pieces = 0;  ///< that the peer has
  uint64_t bytes_received = 0;
  uint64_t bytes_sent = 0;
  /// Over the last seconds, the bytes of unfinished pieces included.
  double receive_rate = 0;
  double send_rate = 0;
  std::vector<PieceIndex> requests;  ///< outstanding, ours
  double oldest_request = 0;         ///< seconds
  unsigned requests_of_peer = 0;     ///< outstanding, of the peer
  bool silent = false;               ///< gets no requests until it delivers
  double age = 0;                    ///< seconds
};

struct TorrentStatus {
  Digest digest;
  InfoHash info_hash;
  std::string ns;
  uint64_t length = 0;
  uint32_t pieces = 0;
  uint32_t pieces_have = 0;
  bool complete = false;
  uint64_t bytes_from_origins = 0;
  uint64_t bytes_from_peers = 0;
  uint64_t bytes_sent = 0;
  uint64_t retries = 0;
  double seconds = 0;
  /// How many of the missing pieces are with 0, 1, 2 … of the connected peers.
  std::vector<uint32_t> rarity;
  size_t readers = 0;
  std::string waits_for;  ///< why it does not go on; empty: complete
  std::vector<PeerStatus> peers;
};

/// A peer that is left alone for a while.
struct BlacklistEntry {
  PeerId peer_id;
  InfoHash info_hash;
  Duration remaining;
};

/// The swarm engine of one peer identity: torrents, connections, the P2P listener. Loop thread.
class Engine {
 public:
  struct Services {
    io::Loop& loop;
    io::Clock& clock;
    io::Random& random;
    io::Net& net;
    storage::BlobStore& store;
    Metrics metrics = {};  ///< of the role
  };
  /// `tracker` may be null (origins do not announce and never fetch). It must outlive the engine.
  Engine(Services services, EngineSelf self, EngineOptions options, Tracker* tracker, Logger log);
  ~Engine();

  /// Called when a peer asks for a blob that is not here: an origin gets it from its backend, and the peer
  /// comes again. Before start().
  using Miss = std::function<void(const std::string& ns, const Digest& digest)>;
  void on_miss(Miss miss);
  /// Other options from now on, for running torrents too. What the reference's scheduler does not have stays
  /// as it is. io: a log file cannot be opened, everything stays as it was.
  Result<void> configure(EngineOptions options);
  /// Opens the log files and starts the P2P listener. Returns the bound address.
  Result<io::Address> start();
  /// Announced identity; the port is known after start().
  const EngineSelf& self() const;
  /// Takes no more peers and no more requests; what was asked for is still sent, and own downloads go on.
  void drain();
  /// After drain(): until everything that was asked for is sent, at most for `limit`.
  Task<> drained(Duration limit);
  /// What leaves this process and what comes in, for others that move blobs as well. They live as long as the
  /// engine.
  io::Bandwidth& egress();
  io::Bandwidth& ingress();
  /// Closes everything; readers fail with cancelled. Partial blobs are kept.
  Task<> stop();

  /// Opens a blob for reading, from disk or by joining its swarm. Returns as soon as its size is known;
  /// concurrent calls for one digest are one download. not_found; no_space; errors of the tracker as they
  /// are.
  Task<Result<OpenedBlob>> open(std::string ns, Digest digest);
  /// Size of a blob without downloading it: from disk or metainfo.
  Task<Result<uint64_t>> size(std::string ns, Digest digest);
  /// Stops leeching or seeding and deletes the local copy; success when there was none.
  Task<Result<void>> remove(Digest digest);
  std::vector<TorrentStatus> torrents() const;
  /// Of one blob that is being fetched or seeded.
  std::optional<TorrentStatus> torrent(const Digest& digest) const;
  std::vector<BlacklistEntry> blacklist() const;

 private:
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

/// The body of PATCH /x/config/scheduler: Go field names, durations in nanoseconds. What it does not name is
/// as in `defaults` (contract http-api §7.7). invalid_argument.
Result<EngineOptions> parse_engine_options(std::string_view json, EngineOptions defaults);

/// Defaults of an origin: it feeds many, one piece each.
EngineOptions origin_engine_options();

/// JSON of GET /x/torrents.
std::string torrents_json(const std::vector<TorrentStatus>& torrents);
/// JSON of GET /x/torrents/<digest>.
std::string torrent_json(const TorrentStatus& torrent);
/// JSON of GET /x/blacklist (contract http-api §7.6).
std::string blacklist_json(const std::vector<BlacklistEntry>& blacklist);

}  // namespace krakend::p2p
