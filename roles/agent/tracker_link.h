#pragma once

#include <string>
#include <utility>

#include "krakend/api/clients.h"
#include "krakend/core/log.h"
#include "krakend/io/clock.h"
#include "krakend/io/random.h"
#include "krakend/p2p/engine.h"

namespace krakend::agent {

/// What the engine needs of the trackers, over their HTTP client. While none of them answers, the origins
/// that the agent was told of stand in: they know the metainfo, and are peers that have the blob. Loop
/// thread.
class TrackerLink final : public p2p::Tracker {
 public:
  /// `origins` may be null: then a download waits for the trackers.
  TrackerLink(io::Clock& clock, io::Random& random, api::TrackerClient& trackers, api::OriginCluster* origins,
              Logger log)
      : clock_(clock), random_(random), trackers_(trackers), origins_(origins), log_(std::move(log)) {}
  Task<Result<MetaInfo>> metainfo(std::string ns, Digest digest) override;
  Task<Result<AnnounceResponse>> announce(AnnounceRequest request) override;

 private:
  /// Whether the origins are to be asked after this answer. Told once an outage.
  bool stand_in(const Error& error);
  Task<Result<MetaInfo>> metainfo_of_origins(std::string ns, Digest digest);

  io::Clock& clock_;
  io::Random& random_;
  api::TrackerClient& trackers_;
  api::OriginCluster* origins_;
  Logger log_;
  bool outage_ = false;
};

}  // namespace krakend::agent
