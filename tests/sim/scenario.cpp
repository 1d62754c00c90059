#include "sim/scenario.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <map>

#include "sim/liar.h"
#include "sim/storm.h"

namespace krakend::sim {
namespace {

/// One after the other, any node goes down and comes back, as long as there is work.
Task<> crash_any(Storm& storm) {
  Cluster& cluster = storm.cluster();
  while (storm.working()) {
    co_await cluster.clock().sleep(storm.between(500ms, 8s));
    const Duration down = storm.between(500ms, 10s);
    co_await storm.restart(storm.any(), down);
  }
}

Task<> crash_origins(Storm& storm) {
  while (storm.working()) {
    co_await storm.cluster().clock().sleep(storm.between(200ms, 4s));
    const Duration down = storm.between(200ms, 4s);
    co_await storm.restart(storm.any("origin"), down);
  }
}

Task<> part(Storm& storm) {
  Network& network = storm.cluster().network();
  while (storm.working()) {
    co_await storm.cluster().clock().sleep(storm.between(1s, 5s));
    const uint64_t cuts = 1 + storm.random().below(4);
    for (uint64_t i = 0; i < cuts; ++i) {
      const HostId one = storm.any().id();
      const HostId other = storm.any().id();
      if (one == other) continue;
      network.block(one, other);
      if (storm.random().below(2) == 0) network.block(other, one);
    }
    co_await storm.cluster().clock().sleep(storm.between(1s, 20s));
    network.heal();
  }
}

/// Some disk has room for a little more only, for a while.
Task<> fill_disks(Storm& storm) {
  while (storm.working()) {
    co_await storm.cluster().clock().sleep(storm.between(500ms, 4s));
    Node& node = storm.any();
    auto space = node.platters().space("/");
    if (!space) continue;
    node.platters().set_capacity(space->used + storm.random().below(storm.options().largest));
    co_await storm.cluster().clock().sleep(storm.between(2s, 20s));
    node.platters().set_capacity(uint64_t{1} << 40);
  }
}

Task<> lose_trackers(Storm& storm) {
  while (storm.working()) {
    co_await storm.cluster().clock().sleep(storm.between(1s, 5s));
    const Duration down = storm.between(5s, 40s);
    co_await storm.restart(storm.any("tracker"), down);
  }
}

/// The backends of all origins refuse everything for a while.
Task<> break_backends(Storm& storm) {
  while (storm.working()) {
    for (auto& node : storm.cluster().nodes()) {
      if (node->name().starts_with("origin")) node->break_disk("/" + node->name() + "/data/backend");
    }
    co_await storm.cluster().clock().sleep(storm.between(5s, 60s));
    for (auto& node : storm.cluster().nodes()) node->repair_disk();
    co_await storm.cluster().clock().sleep(storm.between(1s, 10s));
  }
}

/// A peer that has everything, and nothing of it is right.
Task<> lie(Storm& storm) {
  std::vector<std::unique_ptr<Liar>> liars;
  const SimBlob& largest =
      *std::max_element(storm.all().begin(), storm.all().end(), [](const auto& a, const auto& b) {
         return a->content->size() < b->content->size();
       })->get();
  liars.push_back(std::make_unique<Liar>(storm.cluster(), storm.liar_host(), largest,
                                         metainfo_of(largest, storm.options().piece_length)));
  liars.back()->start(storm.tracker());
  while (true) co_await storm.cluster().clock().sleep(1h);
}

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
          o.images = 8;
          o.agents = 2;
        }}},
      {"pull-storm",
       {nullptr,
        [](StormOptions& o) {
          o.agents = 12;
          o.images = 1;
          o.largest = 24 * MiB;
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
