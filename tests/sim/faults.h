#pragma once

#include "sim/storm.h"

namespace krakend::sim {

// What goes wrong while a storm works. Each ends by itself when the work does.

/// One after the other, any node dies and comes back.
Task<> crash_any(Storm& storm);
/// The same with origins alone, faster.
Task<> crash_origins(Storm& storm);
/// The same with agents, except the steady ones.
Task<> crash_agents(Storm& storm);
Task<> lose_trackers(Storm& storm);
/// Some pairs of nodes lose sight of each other, in one direction or both.
Task<> part(Storm& storm);
/// Some disk has room for a little more only, for a while.
Task<> fill_disks(Storm& storm);
/// Where things are kept for good everything is refused, for a while.
Task<> break_backends(Storm& storm);
/// Bits change in the cached blobs of any node, which is off at that time.
Task<> rot(Storm& storm);
/// Somebody sets wall clocks, by minutes or years, in both directions.
Task<> step_clocks(Storm& storm);
/// The link or the disk of some node is slow for a while.
Task<> slow_down(Storm& storm);
/// A peer that has everything, and nothing of it is right.
Task<> lie(Storm& storm);
/// Every node is stopped and started with new constants, one after the other.
Task<> upgrade_all(Storm& storm);
/// The line between two clusters is cut for a while, or the origins or the build-index of one of them are
/// gone; besides, what else the seed draws of the above.
Task<> part_clusters(Storm& storm);
/// An origin joins the ring, then the first one leaves it.
Task<> change_ring(Storm& storm);

}  // namespace krakend::sim
