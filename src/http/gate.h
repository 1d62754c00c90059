#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "krakend/core/time.h"
#include "krakend/http/server.h"

namespace krakend::http {

/// Counts the calls of each client address under one RateLimit.
class RateCounter {
 public:
  explicit RateCounter(RateLimit limit) : limit_(std::move(limit)) {}
  /// Counts a call; false: one too many, not counted.
  bool admit(const std::string& address, TimePoint now);
  bool concerns(std::string_view path) const { return path.starts_with(limit_.prefix); }

 private:
  void forget(TimePoint now);

  RateLimit limit_;
  /// When the calls so far would have been over at the rate.
  std::map<std::string, TimePoint, std::less<>> paid_until_;
};

/// Decides before any handler whether a request may go on: by address, certificate, rate and size. One
/// listener's.
class Gate {
 public:
  explicit Gate(const ListenOptions& options);
  /// The answer to a request that may not.
  std::optional<Response> refuse(const Request& request, const io::PeerSecurity& peer, TimePoint now);

 private:
  bool allows(const io::Address& peer) const;

  const ListenOptions& options_;
  std::vector<RateCounter> rates_;
};

}  // namespace krakend::http
