#include "sim/faults.h"

#include <algorithm>
#include <array>

#include "sim/checks.h"
#include "sim/liar.h"

namespace krakend::sim {
namespace {

Task<> crash(Storm& storm, std::string role, Duration pause, Duration down) {
  while (storm.working()) {
    co_await storm.cluster().clock().sleep(storm.between(pause / 20, pause));
    const Duration off = storm.between(down / 20, down);
    co_await storm.restart(storm.any(role), off);
  }
}

/// Nobody of one cluster reaches anybody of the other.
void cut_line(Storm& storm) {
  for (auto& one : storm.cluster().nodes()) {
    for (auto& other : storm.cluster().nodes()) {
      if (Storm::side_of(*one) != Storm::side_of(*other))
        storm.cluster().network().block(one->id(), other->id());
    }
  }
}

Task<> crash_role(Storm& storm, const std::string role, unsigned side, Duration down) {
  for (auto& node : storm.cluster().nodes()) {
    if (node->name().starts_with(role) && Storm::side_of(*node) == side)
      storm.cluster().tasks().spawn(storm.restart(*node, down), "restart");
  }
  co_await storm.cluster().clock().sleep(down);
}

}  // namespace

Task<> crash_any(Storm& storm) {
  co_await crash(storm, "", 8s, 10s);
}
Task<> crash_origins(Storm& storm) {
  co_await crash(storm, "origin", 4s, 4s);
}
Task<> crash_agents(Storm& storm) {
  co_await crash(storm, "agent", 500ms, 1s);
}
Task<> lose_trackers(Storm& storm) {
  co_await crash(storm, "tracker", 5s, 40s);
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

Task<> break_backends(Storm& storm) {
  while (storm.working()) {
    for (auto& node : storm.cluster().nodes()) {
      const bool own = !storm.options().shared_backend;
      if (own && !node->name().starts_with("origin") && !node->name().starts_with("herd")) continue;
      node->break_disk(own ? "/" + node->name() + "/data/backend" : Storm::server_path);
    }
    co_await storm.cluster().clock().sleep(storm.between(5s, 60s));
    for (auto& node : storm.cluster().nodes()) node->repair_disk();
    co_await storm.cluster().clock().sleep(storm.between(1s, 10s));
  }
}

Task<> rot(Storm& storm) {
  constexpr unsigned most_bits = 4;
  co_await check_backends(storm);  // what has one copy only cannot be got anew
  while (storm.working()) {
    co_await storm.cluster().clock().sleep(storm.between(100ms, 4s));
    Node& node = storm.any();
    for (uint64_t bits = 1 + storm.random().below(most_bits); bits > 0; --bits) {
      const std::string path = node.platters().rot(storm.random(), "/" + node.name() + "/data/cache", "data");
      if (!path.empty())
        storm.cluster().trace().note(storm.cluster().time().elapsed(), node.id(), "rot " + path);
    }
    const Duration off = storm.between(100ms, 2s);
    co_await storm.restart(node, off);
  }
}

Task<> step_clocks(Storm& storm) {
  constexpr Duration year = 365 * 24h;
  while (storm.working()) {
    co_await storm.cluster().clock().sleep(storm.between(500ms, 4s));
    const Duration most = storm.random().below(4) == 0 ? year : Duration(10min);
    const Duration by = storm.between(0s, most);
    storm.any().step_clock(storm.random().below(2) == 0 ? by : -by);
  }
}

Task<> slow_down(Storm& storm) {
  constexpr uint64_t slowness = 50;
  Network& network = storm.cluster().network();
  const uint64_t rate = storm.options().rate;
  while (storm.working()) {
    co_await storm.cluster().clock().sleep(storm.between(100ms, 2s));
    Node& node = storm.any();
    if (storm.random().below(2) == 0)
      network.set_rates(node.id(), rate / slowness, rate / slowness);
    else
      node.slow_disk(slowness);
    co_await storm.cluster().clock().sleep(storm.between(2s, 20s));
    network.set_rates(node.id(), rate, rate);
    node.slow_disk(1);
  }
}

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

Task<> upgrade_all(Storm& storm) {
  for (auto& node : storm.cluster().nodes()) {
    co_await storm.cluster().clock().sleep(storm.between(100ms, 3s));
    co_await storm.upgrade(*node);
  }
}

Task<> part_clusters(Storm& storm) {
  constexpr std::array<Task<> (*)(Storm&), 7> others{crash_any, crash_origins, part,          step_clocks,
                                                     slow_down, fill_disks,    break_backends};
  constexpr uint64_t survivable = 5;  // a process that starts does not come up on a disk that takes nothing
  const uint64_t drawn = storm.random().below(2 * others.size());
  if (drawn < others.size()) storm.cluster().tasks().spawn(others[drawn](storm), "another fault");
  const bool crashes = drawn < survivable || drawn >= others.size();
  while (storm.working()) {
    co_await storm.cluster().clock().sleep(storm.between(500ms, 5s));
    const Duration down = storm.between(1s, 40s);
    const auto side = static_cast<unsigned>(storm.random().below(2));
    switch (crashes ? storm.random().below(4) : 3) {
      case 0:
        co_await crash_role(storm, "origin", side, down);
        break;
      case 1:
        co_await crash_role(storm, "index", side, down);
        break;
      default:
        cut_line(storm);
        co_await storm.cluster().clock().sleep(down);
        storm.cluster().network().heal();
    }
  }
}

Task<> change_ring(Storm& storm) {
  constexpr Duration to_join = 2s;
  constexpr Duration to_leave = 2min;  // its copies are elsewhere, its write-backs done
  const unsigned all = storm.options().origins;
  Node& last = storm.node("origin" + std::to_string(all - 1));
  last.set_wanted(false);
  storm.name_origins(0, all - 1);
  last.crash();
  co_await storm.cluster().clock().sleep(storm.between(0s, to_join));
  storm.name_origins(0, all);
  last.set_wanted(true);
  last.power_on();
  if (auto started = last.start(); !started)
    storm.fail("the new origin does not start: " + started.error().message);
  co_await storm.cluster().clock().sleep(storm.between(5s, 20s));
  storm.name_origins(1, all);
  co_await storm.cluster().clock().sleep(to_leave);
  Node& first = storm.node("origin0");
  first.stop();
  first.set_wanted(false);
}

}  // namespace krakend::sim
