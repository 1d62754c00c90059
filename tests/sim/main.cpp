#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

#include "sim/headline.h"
#include "sim/scenario.h"

namespace {

int run(int argc, char** argv) {
  using namespace krakend;
  CLI::App app{"Runs whole krakend clusters in virtual time"};
  std::string scenario = "headline";
  sim::HeadlineOptions headline;
  app.add_option("--scenario", scenario, "headline, all, or one of the scenarios")->capture_default_str();
  app.add_option("--seed", headline.seed, "everything that is drawn follows from it")->capture_default_str();
  app.add_option("--hosts", headline.hosts, "agents of the headline")->capture_default_str();
  app.add_option("--image", headline.image, "bytes of the image")->capture_default_str();
  app.add_option("--layers", headline.layers, "blobs of the image")->capture_default_str();
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
  app.add_option("--results", headline.results, "a file for the seconds of each download");
  app.add_option("--log", headline.log_path, "a file for the nodes' logs");
  unsigned runs = 1;
  app.add_option("--runs", runs, "of that many seeds, one after the other")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  if (scenario == "headline") return sim::run_headline(headline) ? 0 : 1;
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
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "krakend-sim: %s\n", error.what());
    return 1;
  }
}
