#pragma once

#include "krakend/io/bandwidth.h"
#include "krakend/io/task_group.h"
#include "krakend/p2p/engine.h"
#include "p2p/backlog.h"
#include "p2p/network_events.h"
#include "p2p/request_budget.h"
#include "p2p/seldom.h"
#include "p2p/swarm_metrics.h"
#include "p2p/torrent_log.h"
#include "p2p/upload_turns.h"

namespace krakend::p2p {

class Torrent;

/// What the parts of one engine share. Owned by the engine; torrents hold it, so it lives as long as any of
/// them. Loop thread.
struct Context {
  Context(Engine::Services s, EngineSelf own, EngineOptions opts, Tracker* t, Logger l)
      : loop(s.loop),
        clock(s.clock),
        random(s.random),
        net(s.net),
        store(s.store),
        self(std::move(own)),
        options(std::move(opts)),
        tracker(t),
        metrics(s.metrics),
        egress(s.clock, metrics.limit(SwarmLimit::egress)),
        ingress(s.clock, metrics.limit(SwarmLimit::ingress)),
        backlog(s.loop),
        turns(s.clock, backlog, metrics.limit(SwarmLimit::uploads)),
        log(std::move(l)),
        events(s.clock, self.peer_id),
        torrent_log(s.clock, self),
        tasks(s.loop, log) {
    limit_rates();
  }

  void limit_rates() {
    constexpr uint64_t bits = 8;
    const bool limited = options.limit_bandwidth;
    egress.set_rate(limited ? std::max(options.egress_bits_per_sec / bits, uint64_t{1}) : 0);
    ingress.set_rate(limited ? std::max(options.ingress_bits_per_sec / bits, uint64_t{1}) : 0);
  }

  /// Counts that a limit was met.
  void met(SwarmLimit limit) const { metrics.limit(limit).add(); }
  /// Cuts a stream off whose handshake takes too long.
  io::Timer handshake_deadline(const io::StreamPtr& stream) const {
    return clock.after(options.handshake_timeout, [stream, late = metrics.limit(SwarmLimit::handshake_time)] {
      late.add();
      stream->shutdown();
    });
  }

  io::Loop& loop;
  io::Clock& clock;
  io::Random& random;
  io::Net& net;
  storage::BlobStore& store;
  EngineSelf self;
  EngineOptions options;
  RequestBudget budget;
  Tracker* tracker;  ///< null at an origin
  SwarmMetrics metrics;
  io::Bandwidth egress;
  io::Bandwidth ingress;
  Backlog backlog;
  UploadTurns turns;
  bool draining = false;  ///< Engine::drain()
  /// Torrents that would ask for more if the budget had room.
  std::vector<std::weak_ptr<Torrent>> hungry;
  Logger log;
  NetworkEvents events;
  TorrentLog torrent_log;
  Seldom remarks;  ///< on bad peers
  bool stopping = false;
  io::TaskGroup tasks;
};
using ContextPtr = std::shared_ptr<Context>;

}  // namespace krakend::p2p
