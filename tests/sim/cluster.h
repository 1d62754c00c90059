#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "daemon/daemon.h"
#include "krakend/http/client.h"
#include "krakend/io/task_group.h"
#include "sim/disk.h"
#include "sim/network.h"
#include "sim/sqlite_vfs.h"
#include "sim/timeline.h"
#include "sim/trace.h"
#include "support/memory_disk.h"
#include "support/seeded_random.h"

namespace krakend::sim {

struct NodeOptions {
  std::string name;
  HostOptions host;
  DiskOptions disk;
  std::vector<std::string> args;  ///< of the program, without --config
  std::string yaml;               ///< its configuration file
  Mount mount{};                  ///< of a file server
};

class Cluster;

/// One host with one krakend on it: the production wiring, configured from its YAML text, and what survives a
/// crash.
class Node {
 public:
  Node(Cluster& cluster, HostId id, NodeOptions options);
  ~Node();

  const std::string& name() const { return options_.name; }
  const std::string& ip() const { return options_.host.ip; }
  HostId id() const { return id_; }
  /// Starts the process. An error is one of the configuration.
  Result<void> start();
  /// All roles listen.
  bool ready() const;
  /// SIGTERM.
  void stop();
  /// From one moment to the next: what was not synced is gone or not, nobody is told anything.
  void crash();
  /// The host is on again; start() follows.
  void power_on();
  bool running() const { return process_ != nullptr; }
  /// It has ended by itself, and waits for Cluster::reap().
  bool ended() const;
  /// Of the process that ended last.
  std::optional<int> exit_status() const { return exit_status_; }
  test::MemoryDisk& platters() { return platters_; }
  /// What lies below this path fails with EIO, until repair_disk(), over restarts.
  void break_disk(std::string path);
  void repair_disk() { break_disk({}); }
  /// Everything on its disk takes so many times longer, over restarts.
  void slow_disk(double times);
  /// Somebody sets the wall clock of the host.
  void step_clock(Duration by);
  /// Takes effect at the next start.
  void set_yaml(std::string yaml) { options_.yaml = std::move(yaml); }
  /// Whether Cluster::start_all starts it.
  void set_wanted(bool wanted) { wanted_ = wanted; }
  bool wanted() const { return wanted_; }

 private:
  friend class Cluster;
  struct Process;
  Result<void> launch(Process& process);

  Cluster& cluster_;
  const HostId id_;
  NodeOptions options_;
  test::MemoryDisk platters_;
  std::string broken_path_;
  double slowness_ = 1;
  Duration wall_ahead_{0};
  bool wanted_ = true;
  std::unique_ptr<Process> process_;
  std::optional<int> exit_status_;
};

struct ClusterOptions {
  uint64_t seed = 1;
  NetworkOptions network;
  /// What each job of a process's pool takes besides its device's time.
  Duration offload_cost = 20us;
  bool keep_events = true;
  /// Logs of all nodes go there; empty: nowhere.
  std::string log_path;
};

/// Whole daemons in virtual time. One thread.
class Cluster {
 public:
  explicit Cluster(ClusterOptions options);
  ~Cluster();
  Cluster(const Cluster&) = delete;
  Cluster& operator=(const Cluster&) = delete;

  Node& add(NodeOptions options);
  /// A host without a krakend, where clients run.
  HostId add_host(HostOptions host) { return network_.add_host(std::move(host)); }
  /// An HTTP client on a host.
  std::unique_ptr<http::Client> make_client(HostId host);

  Timeline& time() { return time_; }
  SimClock& clock() { return clock_; }
  Network& network() { return network_; }
  Trace& trace() { return trace_; }
  io::Random& random() { return random_; }
  std::vector<std::unique_ptr<Node>>& nodes() { return nodes_; }
  /// Ends the tasks of the scenario, which may be in the middle of something.
  void stop_tasks();
  /// Tasks of the scenario.
  io::TaskGroup& tasks() { return tasks_; }

  /// Until `done`; false when `limit` (virtual) passed first.
  bool run_until(const std::function<bool()>& done, Duration limit);
  void run_for(Duration time);
  /// Starts all nodes that do not run; false when one is not ready after `limit`.
  bool start_all(Duration limit);
  /// Stops all; false when a process does not end, or not cleanly.
  bool stop_all(Duration limit);
  /// Processes that have ended are destroyed. Not to be called from inside one.
  void reap();

 private:
  friend class Node;

  const ClusterOptions options_;
  Timeline time_;
  SimClock clock_{time_};
  test::SeededRandom random_;
  Trace trace_;
  Network network_;
  SqliteDisks databases_{clock_};
  Logger log_;
  io::TaskGroup tasks_;
  std::vector<std::unique_ptr<http::Client>> clients_;
  std::vector<std::unique_ptr<io::Net>> nets_;
  std::vector<std::unique_ptr<Node>> nodes_;
  /// Processes whose hosts have died: they end by themselves, without effect.
  std::vector<std::unique_ptr<Node::Process>> dying_;
};

}  // namespace krakend::sim
