#pragma once

#include "krakend/api/clients.h"
#include "krakend/api/services.h"
#include "krakend/http/server.h"
#include "krakend/p2p/engine.h"
#include "roles/agent/pull_counters.h"
#include "roles/agent/readiness.h"

namespace krakend::agent {

/// The agent API for tools on the host (contract http-api §7). Loop thread.
class AgentApi {
 public:
  AgentApi(const api::Services& services, p2p::Engine& engine, api::TagClient& tags, Readiness& readiness)
      : services_(services), engine_(engine), tags_(tags), readiness_(readiness), pulls_(services.metrics) {}

  /// Health and readiness; both listeners have them.
  void add_health(http::Router& router);
  void add_api(http::Router& router);

 private:
  Task<http::Response> health();
  Task<http::Response> ready();
  Task<http::Response> tag(http::Request& request);
  Task<http::Response> blob(http::Request& request);
  Task<http::Response> remove(http::Request& request);
  Task<http::Response> torrents();
  Task<http::Response> torrent(http::Request& request);
  Task<http::Response> blacklist();
  Task<http::Response> configure(http::Request& request);

  const api::Services& services_;
  p2p::Engine& engine_;
  api::TagClient& tags_;
  Readiness& readiness_;
  PullCounters pulls_;
};

}  // namespace krakend::agent
