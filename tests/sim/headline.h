#pragma once

#include <string>

#include "sim/cluster.h"

namespace krakend::sim {

/// Coarser than the default: two chunks fill a window, a chunk takes 1.7 ms at 300 MB/s.
inline NetworkOptions headline_network() {
  NetworkOptions network;
  network.chunk = 512 * KiB;
  network.window = 1 * MiB;
  return network;
}

/// Many hosts pull one image at the same moment, or each of them some of many blobs.
struct HeadlineOptions {
  uint64_t seed = 1;
  unsigned hosts = 100;
  uint64_t image = 3'000'000'000;   ///< bytes
  unsigned layers = 2;              ///< that each host pulls
  unsigned blobs = 0;               ///< of which each host pulls some; 0: all pull the same image
  uint64_t smallest = 100'000'000;  ///< of these blobs, bytes; sizes are drawn evenly on a logarithmic scale
  uint64_t largest = 1'000'000'000;
  uint64_t piece_length = 4 * MiB;
  uint64_t rate = 300'000'000;  ///< of each host in each direction, bytes a second
  unsigned trackers = 5;
  unsigned origins = 5;
  Duration arrival = 1s;  ///< the clients come within this time
  double slow = 0;        ///< share of the agents' hosts that have a tenth of the rate
  double crashing = 0;    ///< share of them that die half-way, without a word
  bool upstream = false;  ///< the reference's constants instead of the shipped ones, as far as YAML has them
  double old = 0;         ///< share of the agents that have these all the same, as in mid of a roll-out
  NetworkOptions network = headline_network();
  std::string results;  ///< a file for the seconds of each download; empty: none
  std::string log_path;
};

/// Runs it and prints what came of it; false when a download failed or was wrong.
bool run_headline(const HeadlineOptions& options);

}  // namespace krakend::sim
