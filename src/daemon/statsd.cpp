#include "daemon/statsd.h"

#include <fmt/format.h>

#include <utility>

namespace krakend::daemon {

StatsdReporter::StatsdReporter(Services services, std::string target, std::string prefix, Logger log)
    : services_(std::move(services)),
      target_(std::move(target)),
      prefix_(std::move(prefix)),
      log_(log.module("statsd")) {
  services_.metrics.keep_timings();
}

void StatsdReporter::report(io::DatagramSender& sender) const {
  std::string packet;
  for (const StatsdSample& sample : services_.metrics.changes()) {
    const std::string line = fmt::format("{}{}{}:{}|{}", prefix_, prefix_.empty() ? "" : ".", sample.name,
                                         sample.value, sample.kind);
    if (!packet.empty() && packet.size() + 1 + line.size() > max_packet) {
      sender.send(packet);
      packet.clear();
    }
    if (!packet.empty()) packet += '\n';
    packet += line;
  }
  if (!packet.empty()) sender.send(packet);
}

Task<> StatsdReporter::run() {
  std::unique_ptr<io::DatagramSender> sender;
  while (!sender) {
    auto made = co_await services_.loop.offload([&] { return io::make_datagram_sender(target_); });
    if (made) {
      sender = std::move(*made);
    } else {
      log_.warn("metrics cannot be sent to {}: {}", target_, made.error().message);
      co_await services_.clock.sleep(retry_interval);
    }
  }
  for (;;) {
    co_await services_.clock.sleep(interval);
    report(*sender);
  }
}

}  // namespace krakend::daemon
