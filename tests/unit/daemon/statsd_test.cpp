#include "daemon/statsd.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>

#include "krakend/io/task_group.h"
#include "support/catch.h"
#include "support/run.h"

namespace krakend::test {
namespace {

/// A statsd on a free port of loopback.
class Receiver {
 public:
  Receiver() : fd_(::socket(AF_INET, SOCK_DGRAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    REQUIRE(::bind(fd_, reinterpret_cast<sockaddr*>(&address), length) == 0);
    REQUIRE(::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &length) == 0);
    target_ = "127.0.0.1:" + std::to_string(ntohs(address.sin_port));
  }
  ~Receiver() { ::close(fd_); }
  const std::string& target() const { return target_; }
  /// Empty when there is none.
  std::string packet() {
    std::array<char, 2048> bytes{};
    const ssize_t got = ::recv(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT);
    return got <= 0 ? std::string() : std::string(bytes.data(), static_cast<size_t>(got));
  }

 private:
  int fd_;
  std::string target_;
};

TEST_CASE("statsd gets the reference's names, and only what has changed") {
  Receiver receiver;
  io::Loop loop;
  const auto clock = io::make_system_clock(loop);
  const Metrics metrics = Metrics().role("origin");
  metrics.counter({"hits_total", "Hits", "blob_memory_cache.get_hit"}).add(3);
  daemon::StatsdReporter reporter({loop, *clock, metrics}, receiver.target(), "kraken.origin", Logger());
  io::TaskGroup tasks(loop, Logger());
  tasks.spawn(reporter.run(), "statsd");
  std::string packet;
  const auto wait = [&]() -> Task<> {
    while (packet.empty()) {
      packet = receiver.packet();
      co_await clock->sleep(10ms);
    }
  };
  run(loop, wait());
  CHECK(packet == "kraken.origin.blob_memory_cache.get_hit:3|c");
  for (int i = 0; i < 40; ++i)
    metrics.gauge({"size_" + std::to_string(i), "Size", "a.rather.long.name." + std::to_string(i)}).set(i);
  packet.clear();
  run(loop, wait());
  CHECK(packet.size() <= 512);
  CHECK(
      packet.starts_with("kraken.origin.a.rather.long.name.0:0|g\nkraken.origin.a.rather.long.name.1:1|g\n"));
  run(loop, tasks.stop());
}

}  // namespace
}  // namespace krakend::test
