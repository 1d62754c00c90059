#include "sim/scenario.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <map>

#include "sim/faults.h"
#include "sim/storm.h"

namespace krakend::sim {
namespace {

struct Scenario {
  Storm::Fault fault;
  /// Besides what the seed draws.
  void (*adjust)(StormOptions&);
};

const std::map<std::string, Scenario>& scenarios() {
  static const std::map<std::string, Scenario> all{
      {"push-storm",
       {nullptr,
        [](StormOptions& o) {
          o.calm = true;
          o.stall_chance = o.reset_chance = 0;
          o.images = 8;
          o.agents = 2;
        }}},
      {"pull-storm",
       {nullptr,
        [](StormOptions& o) {
          o.agents = 12;
          o.images = 1;
          o.pushes_first = o.even = true;
          o.stall_chance = o.reset_chance = 0;
          o.overlap = 0;
          o.largest = 24 * MiB;
        }}},
      {"layers-shared",
       {nullptr,
        [](StormOptions& o) {
          o.images = 6;
          o.overlap = 0.7;
        }}},
      {"herd",
       {crash_any,
        [](StormOptions& o) {
          o.herd = true;
          o.shared_backend = false;
        }}},
      {"tag-moves",
       {nullptr,
        [](StormOptions& o) {
          o.moves = 12;
          o.largest = 4 * KiB;
        }}},
      {"crash-restart", {crash_any, [](StormOptions& o) { o.images = 4; }}},
      {"crash-origins",
       {crash_origins,
        [](StormOptions& o) {
          o.images = 6;
          o.agents = 2;
        }}},
      {"partition", {part, [](StormOptions&) {}}},
      {"disk-full", {fill_disks, [](StormOptions& o) { o.images = 4; }}},
      {"lost-tracker", {lose_trackers, [](StormOptions&) {}}},
      {"backend-outage", {break_backends, [](StormOptions&) {}}},
      {"bit-rot",
       {rot,
        [](StormOptions& o) {
          o.images = 4;
          o.pushes_first = o.shared_backend = true;  // an own backend has the cached file itself
        }}},
      {"clock-steps", {step_clocks, [](StormOptions& o) { o.images = 4; }}},
      {"slow-nodes",
       {slow_down, [](StormOptions& o) { o.largest = std::max<uint64_t>(o.largest, 3 * MiB); }}},
      {"seeders-die",
       {crash_agents,
        [](StormOptions& o) {
          o.agents = 10;
          o.steady_agents = 3;
          o.images = 2;
          o.layers = 1;
          o.least = 8 * MiB;
          o.largest = 32 * MiB;
          o.piece_length = std::min<uint64_t>(o.piece_length, 1 * MiB);
          o.rate = std::min<uint64_t>(o.rate, 10'000'000);
          o.stall_chance = o.reset_chance = 0;
        }}},
      {"slow-backend",
       {crash_any,
        [](StormOptions& o) {
          o.shared_backend = true;
          o.backend_latency = 1s;
          o.listing_lag = 30s;
        }}},
      {"garbage",
       {nullptr,
        [](StormOptions& o) {
          o.images = 6;
          o.calm = true;
          o.stall_chance = o.reset_chance = 0;
          o.overlap = std::max(o.overlap, 0.3);
          o.deletions = 3;
          o.collects = o.shared_backend = true;
          o.listing_lag = 0s;  // a manifest is deleted with the tags that are listed
          o.backend_latency = std::min<Duration>(o.backend_latency, 100ms);  // everything is listed
        }}},
      {"garbage-crash",
       {crash_any,
        [](StormOptions& o) {
          o.images = 6;
          o.deletions = 3;
          o.collects = o.shared_backend = true;
          o.listing_lag = 0s;  // a manifest is deleted with the tags that are listed
          o.backend_latency = std::min<Duration>(o.backend_latency, 100ms);  // everything is listed
        }}},
      {"rolling-upgrade",
       {upgrade_all,
        [](StormOptions& o) {
          o.fault_ends = o.starts_old = true;
          o.images = 6;
        }}},
      {"ring-changes",
       {change_ring,
        [](StormOptions& o) {
          o.origins = std::max(o.origins, 3U);
          o.fault_ends = o.named_origins = true;
          o.shared_backend = true;
          o.images = 6;
        }}},
      {"lying-peer", {lie, [](StormOptions& o) { o.largest = std::max<uint64_t>(o.largest, 3 * MiB); }}},
  };
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
