#include "sim/storm_options.h"

#include <fmt/format.h>

#include <initializer_list>

#include "support/seeded_random.h"

namespace krakend::sim {
namespace {

template <class T>
T pick(io::Random& random, std::initializer_list<T> values) {
  return *(values.begin() + static_cast<ptrdiff_t>(random.below(values.size())));
}

int64_t in_us(Duration time) {
  return std::chrono::duration_cast<std::chrono::microseconds>(time).count();
}

void draw_cluster(StormOptions& out, io::Random& random) {
  out.origins = static_cast<unsigned>(1 + random.below(4));
  out.trackers = static_cast<unsigned>(1 + random.below(3));
  out.agents = static_cast<unsigned>(2 + random.below(5));
  out.max_replica = static_cast<unsigned>(1 + random.below(3));
  out.rate = pick<uint64_t>(random, {10'000'000, 100'000'000, 1'000'000'000});
  out.latency = pick<Duration>(random, {50us, 500us, 5ms, 40ms});
  out.sync_time = pick<Duration>(random, {0ms, 1ms, 20ms});
  out.disk_rate = pick<uint64_t>(random, {50'000'000, 500'000'000});
  out.stall_chance = pick<double>(random, {0.0, 0.0, 0.001, 0.01});
  out.reset_chance = pick<double>(random, {0.0, 0.0, 0.0001, 0.001});
  out.shared_backend = random.below(2) == 0;
  if (out.shared_backend && random.below(2) == 0) {
    out.backend_latency = pick<Duration>(random, {5ms, 100ms, 1s});
    out.listing_lag = pick<Duration>(random, {0s, 5s, 30s});
  }
}

void draw_workload(StormOptions& out, io::Random& random) {
  out.images = static_cast<unsigned>(1 + random.below(4));
  out.layers = static_cast<unsigned>(1 + random.below(3));
  out.moves = static_cast<unsigned>(1 + random.below(3));
  out.overlap = pick<double>(random, {0.0, 0.0, 0.5});
  out.largest = pick<uint64_t>(random, {4 * KiB, 300 * KiB, 3 * MiB, 12 * MiB});
}

void draw_configuration(StormOptions& out, io::Random& random) {
  out.piece_length = pick<uint64_t>(random, {64 * KiB, 256 * KiB, 1 * MiB, 4 * MiB});
  out.extension = random.below(4) != 0;
  out.super_seeding = random.below(4) != 0;
  out.max_open_conn = pick<unsigned>(random, {3, 10, 40});
  out.pipeline_limit = pick<unsigned>(random, {1, 3, 8});
  out.conn_tti = pick<Duration>(random, {5s, 30s});
}

}  // namespace

StormOptions StormOptions::draw(uint64_t seed) {
  test::SeededRandom random(seed);
  StormOptions out;
  out.seed = seed;
  draw_cluster(out, random);
  draw_workload(out, random);
  draw_configuration(out, random);
  return out;
}

void StormOptions::draw_prefetch() {
  constexpr uint64_t own_numbers = 0x70726566;
  test::SeededRandom random(seed ^ own_numbers);
  prefetchers = static_cast<unsigned>(1 + random.below(4));
  images = static_cast<unsigned>(2 + random.below(5));
  backend_latency = pick<Duration>(random, {0ms, 5ms, 100ms, 1s});
}

std::string StormOptions::text() const {
  return fmt::format(
             "{} origins {} trackers {} agents {} max_replica {} rate {} latency {} us sync {} us disk {} "
             "stalls {} resets {}; backend {} {} us lag {} us; ",
             herd             ? "herd"
             : both_ways      ? "two clusters, both ways,"
             : second_cluster ? "two clusters,"
                              : "roles apart,",
             origins, trackers, agents, max_replica, rate, in_us(latency), in_us(sync_time), disk_rate,
             stall_chance, reset_chance, shared_backend ? "shared" : "own", in_us(backend_latency),
             in_us(listing_lag)) +
         fmt::format("images {} layers {} moves {} overlap {} deletions {} sizes {} to {}; ", images, layers,
                     moves, overlap, deletions, least, largest) +
         (prefetchers > 0 ? fmt::format("prefetchers {}; ", prefetchers) : std::string()) +
         fmt::format("piece_length {} {}", piece_length, starts_old ? old_scheduler() : scheduler());
}

NetworkOptions StormOptions::network() const {
  NetworkOptions out;
  out.latency = {{latency}};
  out.stall_chance = stall_chance;
  out.reset_chance = reset_chance;
  out.chunk = 64 * KiB;
  return out;
}

std::string StormOptions::scheduler() const {
  return fmt::format(
      "scheduler: {{extension: {}, super_seeding: {}, conn_tti: {}s, connstate: {{max_open_conn: {}}}, "
      "dispatch: {{pipeline_limit: {}}}}}",
      extension, super_seeding, std::chrono::duration_cast<std::chrono::seconds>(conn_tti).count(),
      max_open_conn, pipeline_limit);
}

/// Contract p2p §7–§9.
std::string StormOptions::old_scheduler() {
  return "scheduler: {super_seeding: false, extension: false, "
         "connstate: {max_open_conn: 10, blacklist_duration: 30s}, "
         "dispatch: {pipeline_limit: 3, origin_pipeline_limit: 5}}";
}

}  // namespace krakend::sim
