#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "sim/headline.h"
#include "sim/scenario.h"

namespace {

/// Thousands of daemons touch memory all over: with small pages a fifth of the time goes into finding them.
void use_large_pages(char** argv) {
  constexpr const char* tunables = "GLIBC_TUNABLES";
  if (std::getenv(tunables) != nullptr) return;
  ::setenv(tunables, "glibc.malloc.hugetlb=1:glibc.malloc.tcache_count=60000", 1);
  ::execv("/proc/self/exe", argv);  // otherwise it goes on with small ones
}

int run_regressions(const std::string& log_path) {
  unsigned failed = 0;
  for (const auto& [name, scenario, seed] : krakend::sim::regressions()) {
    std::printf("regression: %s\n", name);
    failed += krakend::sim::run_scenario(scenario, seed, log_path).good() ? 0 : 1;
  }
  if (failed > 0) std::printf("%u regressions FAILED\n", failed);
  return failed == 0 ? 0 : 1;
}

int run(int argc, char** argv) {
  using namespace krakend;
  CLI::App app{"Runs whole krakend clusters in virtual time"};
  std::string scenario = "headline";
  sim::HeadlineOptions headline;
  app.add_option("--scenario", scenario, "headline, all, regressions, or one of the scenarios")
      ->capture_default_str();
  app.add_option("--seed", headline.seed, "everything that is drawn follows from it")->capture_default_str();
  app.add_option("--hosts", headline.hosts, "agents of the headline")->capture_default_str();
  app.add_option("--image", headline.image, "bytes of the image")->capture_default_str();
  app.add_option("--layers", headline.layers, "blobs that each host pulls")->capture_default_str();
  app.add_option("--blobs", headline.blobs, "of which each host pulls some; 0: the layers of one image")
      ->capture_default_str();
  app.add_option("--smallest", headline.smallest, "of these blobs, bytes")->capture_default_str();
  app.add_option("--largest", headline.largest, "of these blobs, bytes")->capture_default_str();
  double arrival = 1;
  app.add_option("--arrival", arrival, "seconds within which the clients come")->capture_default_str();
  app.add_option("--piece-length", headline.piece_length, "bytes")->capture_default_str();
  app.add_option("--rate", headline.rate, "of each host in each direction, bytes a second")
      ->capture_default_str();
  app.add_option("--origins", headline.origins)->capture_default_str();
  app.add_option("--trackers", headline.trackers)->capture_default_str();
  app.add_option("--slow", headline.slow, "share of the hosts that have a tenth of the rate")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--crashing", headline.crashing, "share of the hosts that die half-way")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_flag("--upstream", headline.upstream, "the reference's constants");
  app.add_option("--old", headline.old, "share of the agents that have the reference's constants all the same")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--results", headline.results, "a file for the seconds of each download");
  app.add_option("--log", headline.log_path, "a file for the nodes' logs");
  unsigned runs = 1;
  app.add_option("--runs", runs, "of that many seeds, one after the other")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  headline.arrival = std::chrono::duration_cast<krakend::Duration>(std::chrono::duration<double>(arrival));
  if (scenario == "headline") return sim::run_headline(headline) ? 0 : 1;
  if (scenario == "regressions") return run_regressions(headline.log_path);
  const auto names = scenario == "all" ? sim::scenario_names() : std::vector<std::string>{scenario};
  unsigned failed = 0;
  for (uint64_t seed = headline.seed; seed < headline.seed + runs; ++seed) {
    for (const std::string& name : names)
      failed += sim::run_scenario(name, seed, headline.log_path).good() ? 0 : 1;
  }
  if (failed > 0) std::printf("%u runs FAILED\n", failed);
  return failed == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  use_large_pages(argv);
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "krakend-sim: %s\n", error.what());
    return 1;
  }
}
