#pragma once

#include <list>
#include <memory>
#include <unordered_map>

#include "p2p/torrent.h"

namespace krakend::p2p {

/// Loop thread. The engine's tasks hold it by shared_ptr.
struct Engine::Impl : std::enable_shared_from_this<Engine::Impl> {
  /// Incoming connections whose handshake has not been read yet; beyond, the one that has kept silent longest
  /// is closed.
  static constexpr size_t max_pending_handshakes = 1024;
  static constexpr Duration sweep_interval = 1s;
  /// Between two reports of what we have to send, while it changes.
  static constexpr Duration load_interval = 50ms;
  /// Metainfo of blobs that were only asked for their size: the download that follows needs it again.
  static constexpr size_t max_remembered_metainfo = 64;
  static constexpr uint32_t max_remembered_pieces = 10'000;

  /// A digest that is being opened; everybody who wants it waits for the same one.
  struct Opening {
    explicit Opening(io::Loop& loop) : done(loop) {}
    io::Condition done;
    std::optional<Result<TorrentPtr>> result;  ///< null torrent: complete on disk
  };

  explicit Impl(ContextPtr c) : context(std::move(c)) {}

  void show_use() const;
  Result<void> open_logs();
  Result<void> open_torrent_log(const TorrentLogOptions& options);
  Task<> accept_loop(std::shared_ptr<Impl> self);
  Task<Result<Message>> read_handshake(std::shared_ptr<Impl> self, io::StreamPtr stream);
  Task<> serve_incoming(std::shared_ptr<Impl> self, io::StreamPtr stream);
  Task<Result<TorrentPtr>> find_for_peer(std::string ns, Digest digest);
  Task<> sweep_loop(std::shared_ptr<Impl> self);
  Task<> load_loop(std::shared_ptr<Impl> self);
  /// What is idle or old goes (conn_tti, conn_ttl, seeder_tti).
  void preempt(TimePoint now);
  Task<Result<TorrentPtr>> join(std::shared_ptr<Impl> self, std::string ns, Digest digest);
  Task<> open_torrent(std::shared_ptr<Impl> self, std::shared_ptr<Opening> opening, std::string ns,
                      Digest digest);
  Task<Result<TorrentPtr>> start_leeching(std::string ns, Digest digest);
  Task<Result<MetaInfo>> metainfo(std::string ns, Digest digest);
  TorrentPtr active(const Digest& digest) const;
  /// Forgets a torrent that seeds to nobody; false when somebody has use for it.
  bool let_go(const Digest& digest);

  ContextPtr context;
  std::unique_ptr<io::Listener> listener;
  Miss miss;
  std::unordered_map<Digest, TorrentPtr> torrents;
  std::unordered_map<Digest, std::shared_ptr<Opening>> openings;
  std::list<MetaInfo> remembered;               ///< newest first
  std::list<io::StreamPtr> pending_handshakes;  ///< oldest first
  TimePoint last_preemption{};
  bool stopped = false;
};

}  // namespace krakend::p2p
