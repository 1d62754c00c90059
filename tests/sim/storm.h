#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "sim/cluster.h"
#include "sim/ledger.h"
#include "sim/registry_client.h"
#include "sim/scenario.h"
#include "sim/storm_options.h"

namespace krakend::sim {

/// The cluster, its clients, and the ledger of what was acknowledged. A scenario adds what goes wrong.
class Storm {
 public:
  Storm(StormOptions options, const std::string& log_path);
  ~Storm();
  Storm(const Storm&) = delete;
  Storm& operator=(const Storm&) = delete;

  using Fault = std::function<Task<>(Storm&)>;
  /// Runs the workload while `fault` runs; heals; checks.
  Outcome run(Fault fault);

  Cluster& cluster() { return cluster_; }
  io::Random& random() { return cluster_.random(); }
  const StormOptions& options() const { return options_; }
  /// Until everything is healed: a fault that sleeps over the end must not take the checks for work.
  bool working() const { return workers_ > 0 && !healed_; }
  /// What goes on beside the work, and has to see its end before the checks begin.
  unsigned& background() { return background_; }
  Duration between(Duration least, Duration most);
  Node& node(const std::string& name);
  /// Any node that is wanted, of a role or of all; none of the steady agents.
  Node& any(std::string_view role = {});
  /// Of two clusters the nodes of the second one are numbered from here on.
  static constexpr unsigned second = 10;
  unsigned sides() const { return options_.second_cluster ? 2 : 1; }
  /// The cluster that a node belongs to.
  static unsigned side_of(const Node& node);
  /// Where clients push.
  io::Address proxy(unsigned side = 0) const { return server(5, side, 15000); }
  io::Address tracker(unsigned side = 0) const { return server(2, side, 15003); }
  io::Address index(unsigned side = 0) const { return server(3, side, 15004); }
  HostId client_host() const { return client_host_; }
  HostId liar_host() const { return liar_host_; }
  const std::vector<std::unique_ptr<SimBlob>>& all() const { return blobs_; }
  const Ledger& ledger() const { return ledger_; }
  /// The server that keeps things for good, where there is one.
  test::MemoryDisk& file_server() { return file_server_; }
  static constexpr const char* server_path = "/shared";
  /// Crash, a pause, and the next life.
  Task<> restart(Node& node, Duration down);
  /// SIGTERM, and the next life with another `scheduler` block.
  Task<> upgrade(Node& node);
  /// The name of the origins leads to these from now on.
  void name_origins(unsigned first, unsigned last);
  void fail(std::string what);
  static constexpr Duration check_limit = 15min;
  /// Runs until the task has ended, with the cluster; a failure when `limit` (virtual) passes first.
  void run_task(Task<> task, Duration limit, const char* name);

 private:
  io::Address server(unsigned net, unsigned side, uint16_t port) const;
  void build();
  void build_servers(unsigned side);
  void build_agents(unsigned side);
  std::string remotes_of(unsigned side) const;
  void build_images();
  std::string repo_name(unsigned number) const;
  void add(const std::string& name, unsigned net, unsigned number, const std::string& role,
           const std::string& yaml);
  std::string scheduler_of(const std::string& name, bool old) const;
  void spawn(Task<> task, const char* name);
  Task<> push_image(const Image& image);
  Task<bool> push_layers(RegistryClient& client, const Image& image);
  Task<> remove_image(RegistryClient& client, const Image& image);
  Task<> pull_images(Node& agent);
  Task<> check_image(const Image& image, io::Address registry);
  /// The tag has got to the other cluster, or stays away from it, and then the same holds there.
  Task<> check_elsewhere(const Image& image);
  Node& agent_of(unsigned side);
  Task<> collect_garbage();
  Task<> prefetch_images();
  Task<> check_prefetched(const Image& image, unsigned way);
  void check_prefetches();
  void check_garbage();
  void check_images();
  void check_quiet();
  void check_waits();
  Task<> counted(Task<> task);
  void heal();

  const StormOptions options_;
  test::MemoryDisk file_server_;
  Cluster cluster_;
  std::map<std::string, std::string> yaml_;  ///< of each node, without the `scheduler` block
  std::vector<std::unique_ptr<SimBlob>> blobs_;
  std::vector<Image> images_;
  Ledger ledger_;
  std::map<const SimBlob*, std::vector<double>> waits_;  ///< seconds of the pulls of agents
  std::vector<std::string> failures_;
  HostId client_host_ = 0;
  HostId liar_host_ = 0;
  unsigned workers_ = 0;
  unsigned background_ = 0;
  bool collecting_ = false;
  bool healed_ = false;
};

}  // namespace krakend::sim
