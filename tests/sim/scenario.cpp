#include "sim/scenario.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <map>

#include "sim/faults.h"
#include "sim/prefetch.h"
#include "sim/storm.h"
#include "support/seeded_random.h"

namespace krakend::sim {
namespace {

struct Scenario {
  Storm::Fault fault;
  /// Besides what the seed draws.
  void (*adjust)(StormOptions&);
};

using Scenarios = std::map<std::string, Scenario>;

void many_pushes(StormOptions& o) {
  o.calm = true;
  o.backend_latency = std::min<Duration>(o.backend_latency, 100ms);  // a tag takes many calls
  o.stall_chance = o.reset_chance = 0;
  o.images = 8;
  o.agents = 2;
}

void one_image_to_many(StormOptions& o) {
  o.agents = 12;
  o.images = 1;
  o.pushes_first = o.even = true;
  o.stall_chance = o.reset_chance = 0;
  o.overlap = 0;
  o.largest = 24 * MiB;
}

void dying_seeders(StormOptions& o) {
  o.agents = 10;
  o.steady_agents = 3;
  o.images = 2;
  o.layers = 1;
  o.least = 8 * MiB;
  o.largest = 32 * MiB;
  o.piece_length = std::min<uint64_t>(o.piece_length, 1 * MiB);
  o.rate = std::min<uint64_t>(o.rate, 10'000'000);
  o.stall_chance = o.reset_chance = 0;
}

void garbage(StormOptions& o) {
  o.images = 6;
  o.deletions = 3;
  o.collects = o.shared_backend = true;
  // Longer than the least age in all, but not for one image.
  o.pushed_within = 60s;
  o.think_time = 4s;
  o.listing_lag = 0s;  // a manifest is deleted with the tags that are listed
  o.backend_latency = std::min<Duration>(o.backend_latency, 100ms);  // everything is listed
}

void calm_garbage(StormOptions& o) {
  garbage(o);
  o.calm = true;
  o.stall_chance = o.reset_chance = 0;
  o.overlap = std::max(o.overlap, 0.3);
}

void four_images(StormOptions& o) {
  o.images = 4;
}

void large_layers(StormOptions& o) {
  o.largest = std::max<uint64_t>(o.largest, 3 * MiB);
}

void two_clusters(StormOptions& o) {
  test::SeededRandom random(o.seed + 2);
  o.second_cluster = true;
  o.both_ways = random.below(2) == 0;
  o.images = 4 + static_cast<unsigned>(random.below(5));
  o.moves = 1 + static_cast<unsigned>(random.below(4));
  o.agents = std::min(o.agents, 3U);
  o.origins = std::min(o.origins, 3U);
  o.largest = std::min<uint64_t>(o.largest, 3 * MiB);
  o.pushed_within = 40s;  // so that things go wrong while others are replicated
}

void as_drawn(StormOptions& /*o*/) {}

Scenarios of_load() {
  return {
      {"push-storm", {nullptr, many_pushes}},
      {"pull-storm", {nullptr, one_image_to_many}},
      {"layers-shared",
       {nullptr,
        [](StormOptions& o) {
          o.images = 6;
          o.overlap = 0.7;
        }}},
      {"tag-moves",
       {nullptr,
        [](StormOptions& o) {
          o.moves = 12;
          o.largest = 4 * KiB;
        }}},
      {"garbage", {nullptr, calm_garbage}},
  };
}

Scenarios of_crashes() {
  return {
      {"crash-restart", {crash_any, four_images}},
      {"crash-origins",
       {crash_origins,
        [](StormOptions& o) {
          o.images = 6;
          o.agents = 2;
        }}},
      {"seeders-die", {crash_agents, dying_seeders}},
      {"herd",
       {crash_any,
        [](StormOptions& o) {
          o.herd = true;
          o.shared_backend = false;
        }}},
      {"garbage-crash", {crash_any, garbage}},
      {"lost-tracker", {lose_trackers, as_drawn}},
      {"slow-backend",
       {crash_any,
        [](StormOptions& o) {
          o.shared_backend = true;
          o.backend_latency = 1s;
          o.listing_lag = 30s;
        }}},
  };
}

Scenarios of_trouble() {
  return {
      {"partition", {part, as_drawn}},
      {"disk-full", {fill_disks, four_images}},
      {"backend-outage", {break_backends, as_drawn}},
      {"bit-rot",
       {rot,
        [](StormOptions& o) {
          o.images = 4;
          o.pushes_first = o.shared_backend = true;  // an own backend has the cached file itself
        }}},
      {"clock-steps", {step_clocks, four_images}},
      {"slow-nodes", {slow_down, large_layers}},
      {"lying-peer", {lie, large_layers}},
      {"prefetch",
       {lose_blobs,
        [](StormOptions& o) {
          o.draw_prefetch();
          o.pushes_first = o.shared_backend = true;
        }}},
  };
}

Scenarios of_changes() {
  return {
      {"rolling-upgrade",
       {upgrade_all,
        [](StormOptions& o) {
          o.fault_ends = o.starts_old = true;
          o.images = 6;
        }}},
      {"replication", {part_clusters, two_clusters}},
      {"ring-changes",
       {change_ring,
        [](StormOptions& o) {
          o.origins = std::max(o.origins, 3U);
          o.fault_ends = o.named_origins = o.shared_backend = true;
          o.images = 6;
        }}},
  };
}

const Scenarios& scenarios() {
  static const Scenarios all = [] {
    Scenarios out = of_load();
    for (Scenarios more : {of_crashes(), of_trouble(), of_changes()}) out.merge(more);
    return out;
  }();
  return all;
}

}  // namespace

std::vector<std::string> scenario_names() {
  std::vector<std::string> names;
  for (const auto& [name, scenario] : scenarios()) names.push_back(name);
  return names;
}

const std::vector<Regression>& regressions() {
  static const std::vector<Regression> all{
      {"the directory of a backend is not durable", "crash-restart", 6},
      {"the collector ends before its workers", "garbage", 1},
      {"several peers are told at once that there is room", "pull-storm", 6},
      {"a push is acknowledged whose write-back could not be queued", "disk-full", 9},
      {"a prefetch meets a connection to an earlier life of the only owner", "prefetch", 7006},
      {"a remote that died in the middle of a commit is waited for", "replication", 36},
  };
  return all;
}

Outcome run_scenario(const std::string& name, uint64_t seed, const std::string& log_path) {
  const auto found = scenarios().find(name);
  if (found == scenarios().end()) return {{"no scenario " + name}, 0, 0, 0};
  StormOptions options = StormOptions::draw(seed);
  found->second.adjust(options);
  fmt::print("seed {} scenario {}: {}\n", seed, name, options.text());
  std::fflush(stdout);
  Storm storm(options, log_path);
  const Outcome outcome = storm.run(found->second.fault);
  for (const std::string& failure : outcome.failures) fmt::print("FAILED {}\n", failure);
  if (!outcome.good()) {
    for (auto& node : storm.cluster().nodes())
      fmt::print("last events of {}:\n{}", node->name(), storm.cluster().trace().last_events(node->id()));
    fmt::print("again: krakend-sim --scenario={} --seed={}\n", name, seed);
  }
  fmt::print("seed {} scenario {}: {}, {:.1f} s, {} events, trace {:016x}\n", seed, name,
             outcome.good() ? "good" : "FAILED", outcome.seconds, outcome.events, outcome.trace);
  return outcome;
}

}  // namespace krakend::sim
