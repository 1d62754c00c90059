#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/overload.h"
#include "daemon/plan.h"
#include "daemon/role_server.h"
#include "daemon/running_config.h"
#include "daemon/statsd.h"
#include "daemon/tls_material.h"
#include "krakend/api/operations.h"
#include "krakend/backend/backend.h"
#include "krakend/http/client.h"
#include "krakend/http/server.h"
#include "krakend/io/clock.h"
#include "krakend/io/disk.h"
#include "krakend/io/loop.h"
#include "krakend/io/net.h"
#include "krakend/io/random.h"
#include "krakend/io/task_group.h"
#include "krakend/retry/task_table.h"
#include "krakend/storage/blob_store.h"
#include "krakend/storage/database.h"

namespace krakend::daemon {

/// What one daemon finds around it. All of it outlives the daemon.
struct Surroundings {
  io::Loop& loop;
  io::Clock& clock;
  io::Random& random;
  io::Net& net;
  io::Disk& disk;
  std::function<std::unique_ptr<http::Client>(const http::ClientOptions&)> make_client;
  /// Several daemons live in this process: its memory tells nothing of one of them.
  bool shares_process = false;
};

/// The roles of one process: builds everything once, from general to specific, starts the roles so that each
/// finds those it depends on listening, and stops them in reverse. Owns all of it but its surroundings. Loop
/// thread.
class Daemon final : public api::Operations {
 public:
  struct Backends {
    /// SQLite files.
    std::string origin_database;
    std::string build_index_database;
    std::vector<BackendConfig> origin;
    std::vector<BackendConfig> build_index;
  };
  /// `config` is what the plan was made of.
  Daemon(Surroundings around, Options options, const Config& config, Plan plan, Backends backends,
         HostFacts host, Logger log);
  /// Only after it has ended.
  ~Daemon() override;

  /// Starts soon. `ended` is called once, on the loop, when everything has stopped: after stop(), or because
  /// the start failed. The daemon may be destroyed then, though not inside the call.
  void start(std::function<void()> ended);
  /// Drains and stops. Idempotent.
  void stop();
  /// Something has ended without which there is no use in going on: stops, exit status 1.
  void give_up(const std::string& reason);
  /// Reads the configuration again; the log tells what came of it.
  void reload_soon();
  bool stopping() const { return stopping_; }
  /// All roles listen.
  bool ready() const { return ready_; }
  /// 0 after a clean stop, 1 when the start failed or after give_up().
  int exit_status() const { return exit_status_; }

  bool draining() const override { return stopping_; }
  Task<http::Response> reload() override;

 private:
  struct Listener {
    Role role;
    std::string name;
    std::string address;
  };
  Task<> start_all();
  Task<Result<void>> start_roles();
  Task<Result<void>> start_origin();
  Task<Result<std::string>> find_own_label(uint16_t port);
  Result<void> start_build_index();
  Result<void> start_tracker();
  Result<void> start_proxy();
  Result<void> start_agent();
  Result<void> open_store();
  void start_statsd();
  Result<std::unique_ptr<storage::Database>> open_database(Role role, const std::string& path);
  Result<void> open_origin_database();
  Result<void> open_build_index_database();
  Result<void> open_backends(backend::Backends& target, const std::vector<BackendConfig>& entries);
  Result<uint16_t> free_port(uint16_t wanted);
  api::Services services(Role role);
  /// Kept until everything has started, so that a failed start says just what failed.
  void announce_listener(Role role, std::string_view name, const io::Address& address);

  /// Hosts that stand nowhere are the roles of this process.
  void fill_local_hosts(Plan& plan) const;
  Result<void> open_logs();
  /// Of the plan, as far as the system affords them.
  LimitsConfig affordable_limits() const;
  void use_limits();
  uint64_t affordable_connections() const;

  // daemon_life.cpp
  Task<> reload_and_tell();
  Task<Result<RunningConfig::Changes>> read_again();
  void apply(Plan plan, const RunningConfig::Changes& changes);
  Task<> stop_roles();
  Task<> drain();
  Task<> stop_server(Role role, TimePoint deadline);
  void leave_when_idle();
  void leave();

  Options options_;
  Plan plan_;
  Backends backend_configs_;
  HostFacts host_;
  Logger log_;
  std::vector<Listener> listeners_;
  int exit_status_ = 0;
  bool stopping_ = false;
  bool ready_ = false;
  std::function<void()> ended_;
  bool reloading_ = false;
  RunningConfig running_;
  Metrics metrics_;

  Surroundings around_;
  TlsMaterial tls_;
  std::unique_ptr<OverloadWatch> overload_;
  std::map<Role, http::AccessLog> access_logs_;
  std::map<Role, std::unique_ptr<RoleServer>> servers_;
  std::unique_ptr<storage::BlobStore> store_;
  std::unique_ptr<storage::Evictor> evictor_;
  std::vector<std::unique_ptr<StatsdReporter>> statsd_;
  /// Eviction, the memory cache, statsd: what serves all roles.
  io::TaskGroup background_;
  std::unique_ptr<storage::Database> origin_database_;
  std::unique_ptr<retry::TaskTable> write_backs_;
  std::unique_ptr<storage::Database> build_index_database_;
  std::unique_ptr<retry::TaskTable> tag_replications_;
  backend::Backends origin_backends_;
  backend::Backends build_index_backends_;
  /// One per role: see http::make_client.
  std::vector<std::unique_ptr<http::Client>> clients_;

  std::unique_ptr<origin::Origin> origin_;
  std::unique_ptr<build_index::BuildIndex> build_index_;
  std::unique_ptr<tracker::Tracker> tracker_;
  std::unique_ptr<proxy::Proxy> proxy_;
  std::unique_ptr<agent::Agent> agent_;
  /// "host:port" where the roles of this process reach each other; empty until they listen.
  std::string origin_address_;
  std::string build_index_address_;
  std::string tracker_address_;

  io::TaskGroup tasks_;
  io::Timer leaving_;
};

/// The backends that the roles of this process are configured with.
Daemon::Backends backends_of(const Config& config);

}  // namespace krakend::daemon
