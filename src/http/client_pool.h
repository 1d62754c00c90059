#pragma once

#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "http/client_connection.h"
#include "krakend/core/time.h"

namespace krakend::http {

/// Idle connections by "host:port". Any thread.
class ClientPool {
 public:
  /// An idle connection older than this is not used again: servers close theirs after 60 s or more.
  static constexpr Duration max_idle_age = 45s;
  /// Idle connections to all hosts together; one more throws all of them away.
  static constexpr size_t max_idle = 1024;

  explicit ClientPool(size_t max_idle_per_host) : max_idle_per_host_(max_idle_per_host) {}
  /// The one used last; null when there is none.
  ClientConnectionPtr take(const io::Address& host, TimePoint now);
  void give(const io::Address& host, ClientConnectionPtr connection, TimePoint now);
  /// Closes what is too old. True: some are left.
  bool sweep(TimePoint now);

 private:
  struct Idle {
    ClientConnectionPtr connection;
    TimePoint since;
  };
  const size_t max_idle_per_host_;
  std::mutex mutex_;
  std::unordered_map<std::string, std::vector<Idle>> idle_;
  size_t count_ = 0;
};

}  // namespace krakend::http
