#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "krakend/cluster/hosts.h"
#include "krakend/http/client.h"
#include "krakend/io/random.h"

namespace krakend::agent {

/// Asks the upstreams of the agent whether they are ready (contract http-api §7.1). Loop thread.
class Readiness {
 public:
  Readiness(http::Client& client, io::Random& random, cluster::Hosts build_indexes, cluster::Hosts trackers)
      : client_(client),
        random_(random),
        build_indexes_(std::move(build_indexes)),
        trackers_(std::move(trackers)) {}

  /// What is not ready, one line each, the build-index first; empty: all is well.
  Task<std::string> failures();

 private:
  /// One ready host is enough. The error is that of the last host asked.
  Task<Result<void>> any_ready(std::string what, std::vector<std::string> hosts);
  Task<Result<void>> ready(std::string host);

  http::Client& client_;
  io::Random& random_;
  cluster::Hosts build_indexes_;
  cluster::Hosts trackers_;
};

}  // namespace krakend::agent
