#include <sys/resource.h>
#include <sys/time.h>

#include <algorithm>
#include <cstdio>

#include "krakend/core/units.h"
#include "support/read_exact.h"
#include "unit/io/net_support.h"

// Hidden from ordinary runs: krakend_test_io "[throughput]" prints what the data path costs on loopback.

namespace krakend::test {
namespace {

using World = SystemWorld<4>;

constexpr uint64_t total = 1024 * MiB;
constexpr size_t header_size = 17;
constexpr int rounds = 5;

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

int64_t context_switches() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_nvcsw + usage.ru_nivcsw;
}

/// As the swarm sends pieces: a small frame, then the bytes of the file.
Task<> send_pieces(io::StreamPtr stream, io::FilePtr file, uint64_t piece) {
  const std::vector<std::byte> header(header_size);
  for (uint64_t at = 0; at < total; at += piece) {
    take(co_await stream->write(header, true));
    take(co_await stream->send_file(file, at, piece));
  }
}

Task<> receive_pieces(io::StreamPtr stream, io::FilePtr file, uint64_t piece) {
  std::vector<std::byte> header(header_size);
  for (uint64_t at = 0; at < total; at += piece) {
    take(co_await test::read_exact(*stream, header));
    take(co_await stream->receive_file(file, at, piece));
  }
}

struct Cost {
  double wall;
  double cpu;
  int64_t switches;
};

Cost transfer(World& world, const io::FilePtr& source, uint64_t piece) {
  auto target = new_file(world, "target");
  take(target->allocate(total));
  const Pair pair = connect_pair(world);
  const auto start = world.clock().now();
  const double cpu = cpu_seconds();
  const int64_t switches = context_switches();
  world.run(both(world.loop, send_pieces(pair.opened, source, piece),
                 receive_pieces(pair.accepted, target, piece)));
  return {to_seconds(world.clock().now() - start), cpu_seconds() - cpu, context_switches() - switches};
}

TEST_CASE("throughput of send_file to receive_file over loopback", "[.throughput]") {
  World world;
  auto source = new_file(world, "source");
  const auto block = random_bytes(MiB, 1);
  for (uint64_t at = 0; at < total; at += block.size()) take(source->write_at(at, block));
  for (const uint64_t piece : {total, 4 * MiB, 256 * KiB}) {
    std::vector<Cost> costs;
    for (int i = 0; i < rounds; ++i) costs.push_back(transfer(world, source, piece));
    const auto median = [&](auto member) {
      std::sort(costs.begin(), costs.end(),
                [&](const Cost& a, const Cost& b) { return a.*member < b.*member; });
      return costs[rounds / 2].*member;
    };
    std::printf("1 GiB in pieces of %7llu KiB: %5.2f s wall, %5.2f CPU s, %7lld context switches\n",
                static_cast<unsigned long long>(piece / KiB), median(&Cost::wall), median(&Cost::cpu),
                static_cast<long long>(median(&Cost::switches)));
    std::fflush(stdout);
  }
}

}  // namespace
}  // namespace krakend::test
