#pragma once

#include <memory>
#include <string>

#include "sim/workload.h"

namespace krakend::sim {

/// A peer that says that it has all of a blob, and sends other bytes.
class Liar {
 public:
  Liar(Cluster& cluster, HostId host, const SimBlob& blob, MetaInfo info);
  /// Tells the tracker of itself, again and again, and serves whoever comes.
  void start(io::Address tracker);
  /// Pieces that somebody took.
  unsigned served() const { return served_; }

 private:
  Task<> announce(io::Address tracker);
  Task<> accept();
  Task<> serve(io::StreamPtr stream);

  static constexpr int port = 16001;
  Cluster& cluster_;
  const HostId host_;
  std::unique_ptr<http::Client> client_;
  std::unique_ptr<io::Net> net_;
  std::unique_ptr<io::Listener> listener_;
  const MetaInfo info_;
  const SimBlob lie_;  ///< as long as the blob, and nothing of it
  const PeerId id_;
  unsigned served_ = 0;
};

}  // namespace krakend::sim
