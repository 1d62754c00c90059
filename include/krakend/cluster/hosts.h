#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "krakend/core/digest.h"
#include "krakend/core/log.h"
#include "krakend/core/time.h"
#include "krakend/http/client.h"
#include "krakend/io/clock.h"
#include "krakend/io/random.h"
#include "krakend/io/task_group.h"

namespace krakend::cluster {

/// Health from the callers' own failures (contract core-formats §12.2): `fails` network errors within
/// `fail_timeout` take a host out for `fail_timeout`. If all are out, all are used. Loop thread.
class PassiveHealth {
 public:
  PassiveHealth(io::Clock& clock, unsigned fails, Duration fail_timeout);
  ~PassiveHealth();
  void failed(const std::string& host);
  bool healthy(const std::string& host) const;
  /// The healthy ones of `hosts`, or all when none is.
  std::vector<std::string> filter(const std::vector<std::string>& hosts) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Rendezvous ring over host labels ("host:port" exactly as configured: origins compare them with their own
/// name), all of weight 100 (contract core-formats §10).
class HashRing {
 public:
  using HealthFn = std::function<bool(const std::string&)>;
  HashRing(std::vector<std::string> members, unsigned max_replica, HealthFn healthy);
  /// Owners, best first: the healthy ones among the first max_replica; if none of these is, the next healthy
  /// one; if no member is healthy, the top one. Never empty for a non-empty ring.
  std::vector<std::string> locations(const Digest& digest) const;
  bool contains(const std::string& host) const;
  const std::vector<std::string>& members() const { return members_; }

 private:
  std::vector<std::string> members_;
  unsigned max_replica_;
  HealthFn healthy_;
};

}  // namespace krakend::cluster
