#pragma once

#include "sim/storm.h"

namespace krakend::sim {

/// What is looked at from outside while a storm runs and after it. Each tells of a violation by Storm::fail.

/// Once a second, by GET /metrics of each process: no limit of docs/metrics.md is exceeded. Until it is
/// cancelled.
Task<> watch_limits(Storm& storm);
/// Nobody talks and nothing is open any more when nobody has asked for anything for a while.
Task<> check_idle(Storm& storm);
/// Every acknowledged blob lies whole in a backend, within a while.
Task<> check_backends(Storm& storm);

}  // namespace krakend::sim
