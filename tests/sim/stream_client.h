#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>

#include "krakend/http/client.h"
#include "krakend/io/condition.h"
#include "krakend/io/net.h"

namespace krakend::sim {

/// An HTTP client without threads: over whatever network it is given. A call of a stopped task ends with the
/// task, where the real client answers `cancelled` first.
class StreamClient final : public http::Client {
 public:
  StreamClient(io::Loop& loop, io::Clock& clock, io::Net& net, http::ClientOptions options)
      : clock_(clock), net_(net), options_(options), freed_(loop) {}
  Task<Result<http::ClientResponse>> send(http::ClientRequest request) override;

 private:
  class Call;
  struct Idle {
    io::StreamPtr stream;
    TimePoint since;
  };
  Task<bool> still_open(io::StreamPtr stream);
  io::StreamPtr take_idle(const std::string& host);
  void give_back(const std::string& host, io::StreamPtr stream);

  /// An idle connection older than this is not used again.
  static constexpr Duration max_idle_age = 45s;
  io::Clock& clock_;
  io::Net& net_;
  const http::ClientOptions options_;
  unsigned running_ = 0;
  io::Condition freed_;
  std::map<std::string, std::deque<Idle>> idle_;
};

}  // namespace krakend::sim
