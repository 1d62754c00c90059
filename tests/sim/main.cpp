#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>

#include "sim/headline.h"

namespace {

int run(int argc, char** argv) {
  using namespace krakend;
  CLI::App app{"Runs whole krakend clusters in virtual time"};
  std::string scenario = "headline";
  sim::HeadlineOptions headline;
  app.add_option("--scenario", scenario, "what to run")->capture_default_str();
  app.add_option("--seed", headline.seed, "everything that is drawn follows from it")->capture_default_str();
  app.add_option("--hosts", headline.hosts, "agents of the headline")->capture_default_str();
  app.add_option("--image", headline.image, "bytes of the image")->capture_default_str();
  app.add_option("--layers", headline.layers, "blobs of the image")->capture_default_str();
  app.add_option("--piece-length", headline.piece_length, "bytes")->capture_default_str();
  app.add_option("--rate", headline.rate, "of each host in each direction, bytes a second")
      ->capture_default_str();
  app.add_option("--origins", headline.origins)->capture_default_str();
  app.add_option("--trackers", headline.trackers)->capture_default_str();
  app.add_flag("--upstream", headline.upstream, "the reference's constants");
  app.add_option("--results", headline.results, "a file for the seconds of each download");
  app.add_option("--log", headline.log_path, "a file for the nodes' logs");
  CLI11_PARSE(app, argc, argv);
  return sim::run_headline(headline) ? 0 : 1;
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
