#pragma once

#include "krakend/io/task_group.h"
#include "krakend/p2p/engine.h"
#include "p2p/bandwidth.h"
#include "p2p/request_budget.h"
#include "p2p/torrent_log.h"
#include "p2p/upload_turns.h"

namespace krakend::p2p {

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
        options(opts),
        tracker(t),
        egress(s.clock),
        ingress(s.clock),
        turns(s.loop, s.clock),
        log(std::move(l)),
        tasks(s.loop, log) {
    configure(opts);
  }

  void configure(EngineOptions opts) {
    options = opts;
    constexpr uint64_t bits = 8;
    egress.set_rate(opts.limit_bandwidth ? std::max(opts.egress_bits_per_sec / bits, uint64_t{1}) : 0);
    ingress.set_rate(opts.limit_bandwidth ? std::max(opts.ingress_bits_per_sec / bits, uint64_t{1}) : 0);
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
  Bandwidth egress;
  Bandwidth ingress;
  UploadTurns turns;
  bool draining = false;  ///< Engine::drain()
  Logger log;
  TorrentLog torrent_log;
  io::TaskGroup tasks;
};
using ContextPtr = std::shared_ptr<Context>;

}  // namespace krakend::p2p
