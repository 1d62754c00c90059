#pragma once

#include <functional>
#include <string>
#include <vector>

#include "krakend/api/clients.h"
#include "krakend/cluster/hosts.h"
#include "krakend/core/log.h"
#include "krakend/core/metrics.h"
#include "krakend/io/clock.h"
#include "krakend/io/net.h"
#include "krakend/io/random.h"

namespace krakend::build_index {

struct NeighboursOptions {
  /// All build-indexes of the cluster; this one may be among them.
  cluster::HostsOptions hosts;
  /// What this one may stand there as: "host:port" each.
  std::vector<std::string> self;
  /// The k-th neighbour that is told acts k times this later, unless somebody else has done the work by then.
  Duration put_stagger = 20min;
  Duration replicate_stagger = 20min;
};

/// The other build-indexes of the cluster, which are told what a client has told this one (contract
/// backends-replication §11): one after the other, in random order. A failure is logged and counted, and the
/// client does not hear of it; who did not answer three times is left out for half a minute. Loop thread.
class Neighbours {
 public:
  struct Services {
    io::Loop& loop;
    io::Net& net;
    io::Clock& clock;
    io::Random& random;
    http::Client& client;
    const Metrics& metrics;
  };
  Neighbours(Services services, NeighboursOptions options, Logger log);

  Task<> tell_put(std::string tag, Digest digest);
  Task<> tell_replicate(std::string tag, Digest digest, std::vector<Digest> dependencies, bool forwarded);
  void configure(const cluster::HostsOptions& hosts) { hosts_.configure(hosts); }
  /// Looks hosts up by name until it is cancelled.
  Task<> run() { return hosts_.run(); }

 private:
  using Tell = std::function<Task<Result<void>>(api::TagClient&, Duration delay)>;
  Task<> tell_all(std::string tag, Duration stagger, const Tell& tell, const Counter& failures);
  bool is_self(const std::string& host) const;

  Services services_;
  const NeighboursOptions options_;
  Logger log_;
  cluster::HostWatch hosts_;
  cluster::PassiveHealth health_;
  Counter put_failures_;
  Counter replicate_failures_;
};

}  // namespace krakend::build_index
