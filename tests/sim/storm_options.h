#pragma once

#include <cstdint>
#include <string>

#include "krakend/core/time.h"
#include "krakend/core/units.h"
#include "sim/network.h"

namespace krakend::sim {

/// What a run draws from its seed, and what its scenario sets. Everything is printed before the run.
struct StormOptions {
  uint64_t seed = 1;

  // The cluster.
  bool herd = false;  ///< one process has all server roles
  unsigned origins = 3;
  unsigned trackers = 2;
  unsigned agents = 3;
  unsigned max_replica = 3;
  uint64_t rate = 100'000'000;  ///< of each host in each direction, bytes a second
  Duration latency{500us};
  Duration sync_time{1ms};
  uint64_t disk_rate = 200'000'000;
  double stall_chance = 0;
  double reset_chance = 0;
  bool shared_backend = false;  ///< all origins and the build-index keep things for good on one file server
  Duration backend_latency{0};  ///< of each call to it
  Duration listing_lag{0};      ///< what is new is not listed earlier
  bool second_cluster = false;  ///< another cluster, as large, to which the first one's tags are replicated
  bool both_ways = false;       ///< which has pushes of its own, that are replicated to the first
  bool named_origins = false;   ///< the others find the origins by a name, which may change

  // The workload.
  unsigned images = 2;
  unsigned layers = 2;
  Duration pushed_within{5s};  ///< each image is begun some time in this
  Duration think_time{0};      ///< most between the steps of a push
  unsigned moves = 1;          ///< times that each tag is put
  double overlap = 0;          ///< share of the layers that an earlier image has, too
  unsigned deletions = 0;      ///< images whose tag is removed again
  uint64_t largest = 8 * MiB;
  uint64_t least = 1;
  bool collects = false;       ///< garbage is collected, during the work and after it
  unsigned prefetchers = 0;    ///< clients that have images brought to the origins, during the work
  unsigned steady_agents = 0;  ///< nothing happens to these, so every pull of theirs is good at once
  bool fault_ends = false;     ///< by itself, and the work ends after it
  bool pushes_first = false;   ///< what goes wrong does so while the agents pull
  bool calm = false;           ///< nothing goes wrong: every push is acknowledged
  bool even = false;           ///< nothing happens to any agent: none may wait much longer than the others

  // Configuration.
  uint64_t piece_length = 1 * MiB;
  bool extension = true;
  bool super_seeding = true;
  unsigned max_open_conn = 40;  ///< of an agent
  unsigned pipeline_limit = 3;
  Duration conn_tti{30s};
  bool starts_old = false;  ///< with the reference's constants

  static StormOptions draw(uint64_t seed);
  /// What only the scenario of prefetches draws, from numbers of its own: the other scenarios stay as they are.
  void draw_prefetch();
  std::string text() const;
  NetworkOptions network() const;
  /// The `scheduler` block of agents and origins.
  std::string scheduler() const;
  /// The same with the reference's constants.
  static std::string old_scheduler();
};

}  // namespace krakend::sim
