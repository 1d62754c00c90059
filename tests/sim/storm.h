#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "sim/cluster.h"
#include "sim/registry_client.h"
#include "sim/scenario.h"

namespace krakend::sim {

/// What a run draws from its seed.
struct StormOptions {
  uint64_t seed = 1;
  unsigned origins = 3;
  unsigned trackers = 2;
  unsigned agents = 3;
  unsigned images = 2;
  unsigned layers = 2;
  unsigned moves = 1;  ///< times that each tag is put
  uint64_t largest = 8 * MiB;
  uint64_t piece_length = 1 * MiB;
  unsigned max_replica = 3;
  uint64_t rate = 100'000'000;
  Duration latency{500us};
  Duration sync_time{1ms};
  uint64_t disk_rate = 200'000'000;
  double stall_chance = 0;
  double reset_chance = 0;

  static StormOptions draw(uint64_t seed);
  std::string text() const;
};

/// The cluster, its clients, and the ledger of what was acknowledged. A scenario adds what goes wrong.
class Storm {
 public:
  Storm(StormOptions options, const std::string& log_path);

  using Fault = std::function<Task<>(Storm&)>;
  /// Runs the workload while `fault` runs; heals; checks.
  Outcome run(Fault fault);

  Cluster& cluster() { return cluster_; }
  io::Random& random() { return cluster_.random(); }
  const StormOptions& options() const { return options_; }
  bool working() const { return workers_ > 0; }
  Duration between(Duration least, Duration most);
  Node& node(const std::string& name);
  /// Any node of a role, or of all.
  Node& any(std::string_view role = {});
  io::Address tracker() const { return {"10.2.0.1", 15003}; }
  HostId liar_host() const { return liar_host_; }
  const std::vector<std::unique_ptr<SimBlob>>& all() const { return blobs_; }
  /// Crash, a pause, and the next life.
  Task<> restart(Node& node, Duration down);

 private:
  /// A tag, and what it may lead to: what was acknowledged last, and what was put since without an answer.
  struct TagState {
    std::string acknowledged;
    std::set<std::string> possible;
    std::vector<const SimBlob*> layers;
  };
  struct Image {
    std::string repo;
    std::vector<const SimBlob*> layers;
  };
  void build();
  void add(const std::string& name, unsigned net, unsigned number, const std::string& role,
           const std::string& yaml);
  Task<> push_image(const Image& image);
  Task<> pull_images(Node& agent);
  Task<> check_image(const Image& image, io::Address registry);
  Task<> counted(Task<> task);
  void fail(std::string what);
  void heal();

  const StormOptions options_;
  Cluster cluster_;
  std::vector<std::unique_ptr<SimBlob>> blobs_;
  std::vector<Image> images_;
  std::map<std::string, TagState> tags_;
  std::set<const SimBlob*> acknowledged_;
  std::vector<std::string> failures_;
  HostId client_host_ = 0;
  HostId liar_host_ = 0;
  unsigned workers_ = 0;
};

}  // namespace krakend::sim
