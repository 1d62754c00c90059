#pragma once

#include <string>
#include <utility>

#include "krakend/api/clients.h"
#include "krakend/p2p/engine.h"

namespace krakend::agent {

/// What the engine needs of the trackers, over their HTTP client. Loop thread.
class TrackerLink final : public p2p::Tracker {
 public:
  explicit TrackerLink(api::TrackerClient& client) : client_(client) {}
  Task<Result<MetaInfo>> metainfo(std::string ns, Digest digest) override {
    return client_.metainfo(std::move(ns), digest);
  }
  Task<Result<AnnounceResponse>> announce(AnnounceRequest request) override {
    return client_.announce(std::move(request));
  }

 private:
  api::TrackerClient& client_;
};

}  // namespace krakend::agent
