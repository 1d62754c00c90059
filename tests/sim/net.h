#pragma once

#include "sim/network.h"

namespace krakend::sim {

/// The network as one process on one host sees it.
class SimNet final : public io::Net {
 public:
  SimNet(Network& network, HostId host);
  Task<Result<io::StreamPtr>> connect(const io::Address& to, Duration timeout) override;
  Result<std::unique_ptr<io::Listener>> listen(const io::Address& at) override;
  Task<Result<std::vector<std::string>>> resolve(std::string host, Duration timeout) override;

 private:
  Task<Result<io::StreamPtr>> dial(io::Address to, Duration timeout);
  Task<Result<io::StreamPtr>> answer(HostId target, io::Address to);
  /// The process has not been cut off.
  bool alive() const;

  Network& network_;
  const HostId host_;
  const uint64_t life_;
};

}  // namespace krakend::sim
