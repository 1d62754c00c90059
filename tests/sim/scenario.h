#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace krakend::sim {

/// Clients push and pull through a small cluster while something goes wrong; then everything is healed, and
/// what was acknowledged has to be there.
struct Outcome {
  std::vector<std::string> failures;
  uint64_t trace = 0;
  double seconds = 0;  ///< of virtual time
  uint64_t events = 0;
  bool good() const { return failures.empty(); }
};

std::vector<std::string> scenario_names();

/// A run that failed once, of a fault that is repaired.
struct Regression {
  const char* name;
  const char* scenario;
  uint64_t seed;
};
const std::vector<Regression>& regressions();
/// Prints the seed and what follows from it first, and the hash of the trace last; on failure also how to run
/// it again and what happened last.
Outcome run_scenario(const std::string& name, uint64_t seed, const std::string& log_path = {});

}  // namespace krakend::sim
