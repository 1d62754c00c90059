#include "daemon/daemon.h"

#include <fmt/format.h>

#include <cstdio>

namespace krakend::daemon {
namespace {

/// Descriptors that are not for HTTP connections: blobs, peers, the database, the log.
constexpr size_t other_files = 512;

http::ClientOptions client_options(const Options& options) {
  constexpr unsigned threads_of_one_role = 32;
  constexpr unsigned threads_among_several = 12;  // per role: the process as a whole stays below 64 threads
  http::ClientOptions client;
  client.max_threads = options.single() ? threads_of_one_role : threads_among_several;
  return client;
}

/// The error with what to do about it, unless it says so itself.
Error cannot_listen(Error error) {
  if (error.message.find("choose another") == std::string::npos)
    error.message += "; check --listen-address and the port flags";
  return error;
}

std::string in_process(const io::Address& bound) {
  return io::Address{connectable(bound.host), bound.port}.str();
}

std::function<void(http::ListenOptions&)> limit_listeners(const LimitsConfig& limits) {
  return [limits](http::ListenOptions& options) {
    options.max_connections = limits.connections;
    options.max_connections_per_address = limits.connections_per_address;
    options.max_requests = limits.requests;
    options.max_uploads = limits.uploads;
    options.max_head = limits.head_bytes;
    options.head_timeout = limits.head_timeout;
    options.idle_timeout = limits.idle_timeout;
    options.body_timeout = limits.body_timeout;
  };
}

}  // namespace

Daemon::Daemon(Surroundings around, Options options, const Config& config, Plan plan, Backends backends,
               HostFacts host, Logger log)
    : options_(std::move(options)),
      plan_(std::move(plan)),
      backend_configs_(std::move(backends)),
      host_(std::move(host)),
      log_(std::move(log)),
      running_(config),
      around_(std::move(around)),
      tls_({around_.loop, around_.clock, around_.disk}, metrics_, log_.module("tls")),
      background_(around_.loop, log_.module("storage")),
      tasks_(around_.loop, log_.module("daemon")) {}

Daemon::~Daemon() = default;

void Daemon::start(std::function<void()> ended) {
  ended_ = std::move(ended);
  tasks_.spawn(start_all(), "start");
}

Task<> Daemon::start_all() {
  Result<void> started = co_await start_roles();
  if (stopping_) co_return;
  if (!started) {
    fmt::print(stderr, "krakend: {}\n", started.error().message);
    exit_status_ = 1;
    stop();
    co_return;
  }
  use_limits();
  log_.info("{}: data in {}", version_text(), plan_.data_dir);
  for (const Listener& listener : listeners_) {
    const std::string role(to_string(listener.role));
    log_.role(role).info("listener {} {} {}", role, listener.name, listener.address);
  }
  ready_ = true;
  log_.info("ready");
  io::notify_service_manager("READY=1");
}

void Daemon::start_statsd() {
  for (const Plan::Statsd& statsd : plan_.statsd) {
    const std::string role(to_string(statsd.role));
    statsd_.push_back(std::make_unique<StatsdReporter>(
        StatsdReporter::Services{around_.loop, around_.clock, metrics_.role(role)}, statsd.target,
        statsd.prefix, log_.role(role)));
    background_.spawn(statsd_.back()->run(), "statsd");
  }
}

Task<Result<void>> Daemon::start_roles() {
  if (Result<void> opened = open_logs(); !opened) co_return opened;
  if (Result<void> loaded = tls_.load(plan_.tls); !loaded) co_return loaded;
  if (Result<void> opened = open_store(); !opened) co_return opened;
  overload_ =
      std::make_unique<OverloadWatch>(OverloadWatch::Services{around_.clock,
                                                              [this](bool now) {
                                                                for (const auto& [role, server] : servers_)
                                                                  server->overload(now);
                                                              },
                                                              metrics_},
                                      log_);
  overload_->watch_memory(!around_.shares_process);
  background_.spawn_essential(overload_->run(), "overload watch");
  start_statsd();
  background_.spawn(tls_.watch(), "certificates");
  // Each role may need those before it.
  auto origin = co_await start_origin();
  if (!origin || stopping_) co_return origin;
  for (auto start_one :
       {&Daemon::start_build_index, &Daemon::start_tracker, &Daemon::start_proxy, &Daemon::start_agent}) {
    if (Result<void> started = (this->*start_one)(); !started) co_return started;
  }
  co_return Result<void>{};
}

Result<void> Daemon::open_store() {
  if (!plan_.origin && !plan_.proxy && !plan_.agent) return {};
  // The one store counts for the role that owns it first.
  const Metrics metrics = metrics_.role(plan_.origin ? "origin" : plan_.proxy ? "proxy" : "agent");
  store_ = std::make_unique<storage::BlobStore>(around_.loop, around_.disk, around_.random, plan_.store,
                                                log_.module("storage"), metrics);
  if (Result<void> opened = store_->open_directories(); !opened) return opened;
  evictor_ = std::make_unique<storage::Evictor>(
      storage::Evictor::Services{around_.loop, around_.clock, around_.disk, *store_}, plan_.eviction,
      store_->places(), log_.module("storage"), metrics);
  store_->set_room_maker([this](uint64_t bytes) { return evictor_->free(bytes); });
  background_.spawn_essential(evictor_->run(), "eviction");
  background_.spawn(store_->drain_memory(around_.clock, background_), "memory cache");
  return {};
}

Result<void> Daemon::open_backends(backend::Backends& target, const std::vector<BackendConfig>& entries) {
  for (const BackendConfig& entry : entries) {
    Result<std::unique_ptr<backend::NamePath>> name_path =
        backend::make_name_path(entry.name_path, entry.root);
    if (!name_path)
      return fail(Errc::invalid_argument, "backends, {}: {}", entry.ns, name_path.error().message);
    const std::string probe = entry.root + "/.krakend-write-test";
    Result<void> writable = io::make_dirs_durably(around_.disk, entry.root);
    if (writable) writable = io::write_file(around_.disk, probe, "");
    if (writable) writable = around_.disk.remove(probe);
    if (!writable) {
      return fail(
          writable.error().code,
          "the backend directory {} cannot be written: {}; choose another with --data-dir or backends",
          entry.root, writable.error().message);
    }
    Result<void> added =
        target.add(entry.ns, backend::make_file_backend(around_.loop, around_.disk, std::move(*name_path)),
                   entry.must_ready);
    if (!added) return fail(Errc::invalid_argument, "backends: {}", added.error().message);
  }
  return {};
}

Result<uint16_t> Daemon::free_port(uint16_t wanted) {
  if (wanted != 0) return wanted;
  Result<std::unique_ptr<io::Listener>> probe = around_.net.listen({plan_.listen_host, 0});
  if (!probe) return propagate(probe);
  return (*probe)->local().port;
}

api::Services Daemon::services(Role role) {
  const Logger log = log_.role(std::string(to_string(role)));
  const Metrics metrics = metrics_.role(std::string(to_string(role)));
  servers_[role] = std::make_unique<RoleServer>(
      http::make_server(around_.loop, around_.clock, around_.net, log_.module("http")), metrics,
      access_logs_[role], plan_.edges[role], log);
  servers_[role]->configure(limit_listeners(affordable_limits()));
  http::ClientOptions client = client_options(options_);
  client.tls = tls_.client(role);
  clients_.push_back(around_.make_client(std::move(client)));
  return {around_.loop,     around_.clock, around_.random, around_.net,       around_.disk, *servers_[role],
          *clients_.back(), log,           metrics,        tls_.server(role), this};
}

void Daemon::announce_listener(Role role, std::string_view name, const io::Address& address) {
  listeners_.push_back({role, std::string(name), address.str()});
}

Result<std::unique_ptr<storage::Database>> Daemon::open_database(Role role, const std::string& path) {
  return storage::Database::open(around_.loop, around_.disk, path, log_.role(std::string(to_string(role))));
}

/// Also when there are no remotes any more: what an earlier run has left for them is to be forgotten.
Result<void> Daemon::open_build_index_database() {
  const std::string& path = backend_configs_.build_index_database;
  if (plan_.build_index->remotes.empty() && !around_.disk.stat(path)) return {};
  auto database = open_database(Role::build_index, path);
  if (!database) return propagate(database);
  build_index_database_ = std::move(*database);
  auto table = retry::make_tag_replication_table(*build_index_database_);
  if (!table) return propagate(table);
  tag_replications_ = std::move(*table);
  return {};
}

Result<void> Daemon::open_origin_database() {
  auto database = open_database(Role::origin, backend_configs_.origin_database);
  if (!database) return propagate(database);
  origin_database_ = std::move(*database);
  auto table = retry::make_write_back_table(*origin_database_);
  if (!table) return propagate(table);
  write_backs_ = std::move(*table);
  return {};
}

/// A cluster that is a name may name this origin only after a while: whoever fills the name server looks at
/// who has started (contract core-formats §10).
Task<Result<std::string>> Daemon::find_own_label(uint16_t port) {
  const cluster::HostsOptions& members = plan_.origin->cluster;
  if (members.dns.empty()) co_return own_label(options_, host_, plan_, port, members.fixed);
  cluster::HostWatch watch(around_.loop, around_.net, around_.clock, members, log_.role("origin"));
  const TimePoint deadline = around_.clock.now() + plan_.membership_wait_timeout;
  for (bool told = false;; told = true) {
    auto known = co_await watch.refresh();
    Result<std::string> label = fail(Errc::cancelled, "stopped");
    if (known) label = own_label(options_, host_, plan_, port, watch.hosts().list());
    if (label || stopping_) co_return label;
    const Error& error = known ? label.error() : known.error();
    if (around_.clock.now() >= deadline) {
      co_return fail(Errc::timeout, "cluster.dns {}: {}; waited {}", members.dns, error.message,
                     format_duration(plan_.membership_wait_timeout));
    }
    if (!told) log_.role("origin").info("waiting for cluster.dns {}: {}", members.dns, error.message);
    co_await around_.clock.sleep(plan_.membership_wait_interval);
  }
}

Task<Result<void>> Daemon::start_origin() {
  if (!plan_.origin) co_return Result<void>{};
  if (Result<void> opened = open_backends(origin_backends_, backend_configs_.origin); !opened)
    co_return opened;
  if (Result<void> opened = open_origin_database(); !opened) co_return opened;
  // The ring label holds the port, so a free one has to be found before the origin is made.
  Result<uint16_t> port = free_port(plan_.origin->listen.port);
  if (!port) co_return propagate(port);
  plan_.origin->listen.port = *port;
  auto label = co_await find_own_label(*port);
  if (!label) co_return propagate(label);
  if (stopping_) co_return Result<void>{};
  plan_.origin->self = *label;
  origin_ = std::make_unique<origin::Origin>(services(Role::origin), *store_, origin_backends_, *write_backs_,
                                             *plan_.origin);
  auto bound = origin_->start();
  if (!bound) co_return fail(cannot_listen(std::move(bound.error())));
  announce_listener(Role::origin, "blobserver", bound->http);
  announce_listener(Role::origin, "peer", bound->p2p);
  origin_address_ = in_process(bound->http);
  co_return Result<void>{};
}

Result<void> Daemon::start_build_index() {
  if (!plan_.build_index) return {};
  // Other clusters cannot reach the address that is filled in for this process itself.
  if (plan_.build_index->origins.empty() && plan_.origin)
    plan_.build_index->advertised_origin = plan_.origin->self;
  fill_local_hosts(plan_);
  Result<void> opened = open_backends(build_index_backends_, backend_configs_.build_index);
  if (!opened) return opened;
  if (Result<void> database = open_build_index_database(); !database) return database;
  build_index_ = std::make_unique<build_index::BuildIndex>(services(Role::build_index), build_index_backends_,
                                                           tag_replications_.get(), *plan_.build_index);
  auto bound = build_index_->start();
  if (!bound) return fail(cannot_listen(std::move(bound.error())));
  announce_listener(Role::build_index, "api", *bound);
  build_index_address_ = in_process(*bound);
  return {};
}

Result<void> Daemon::start_tracker() {
  if (!plan_.tracker) return {};
  fill_local_hosts(plan_);
  tracker_ = std::make_unique<tracker::Tracker>(services(Role::tracker), *plan_.tracker);
  auto bound = tracker_->start();
  if (!bound) return fail(cannot_listen(std::move(bound.error())));
  announce_listener(Role::tracker, "api", *bound);
  tracker_address_ = in_process(*bound);
  return {};
}

Result<void> Daemon::start_proxy() {
  if (!plan_.proxy) return {};
  fill_local_hosts(plan_);
  proxy_ = std::make_unique<proxy::Proxy>(services(Role::proxy), *store_, *plan_.proxy);
  auto bound = proxy_->start();
  if (!bound) return fail(cannot_listen(std::move(bound.error())));
  for (const io::Address& address : *bound) announce_listener(Role::proxy, "registry", address);
  return {};
}

Result<void> Daemon::start_agent() {
  if (!plan_.agent) return {};
  fill_local_hosts(plan_);
  agent_ = std::make_unique<agent::Agent>(services(Role::agent), *store_, *plan_.agent);
  auto bound = agent_->start();
  if (!bound) return fail(cannot_listen(std::move(bound.error())));
  announce_listener(Role::agent, "registry", bound->registry);
  announce_listener(Role::agent, "server", bound->server);
  announce_listener(Role::agent, "peer", bound->p2p);
  return {};
}

Daemon::Backends backends_of(const Config& config) {
  Daemon::Backends backends;
  if (config.origin) {
    backends.origin = config.origin->settings.backends;
    backends.origin_database = config.origin->settings.database;
  }
  if (config.build_index) {
    backends.build_index = config.build_index->settings.backends;
    backends.build_index_database = config.build_index->settings.database;
  }
  return backends;
}

void Daemon::fill_local_hosts(Plan& plan) const {
  const auto fill = [](cluster::HostsOptions& hosts, const std::string& local) {
    if (hosts.empty() && !local.empty()) hosts = {local};
  };
  if (plan.build_index) fill(plan.build_index->origins, origin_address_);
  if (plan.tracker) fill(plan.tracker->origins, origin_address_);
  if (plan.proxy) fill(plan.proxy->origins, origin_address_);
  if (plan.proxy) fill(plan.proxy->build_indexes, build_index_address_);
  if (plan.agent) fill(plan.agent->trackers, tracker_address_);
  if (plan.agent) fill(plan.agent->build_indexes, build_index_address_);
}

Result<void> Daemon::open_logs() {
  std::map<std::string, LineLog> files;
  for (const auto& [role, access] : plan_.access_logs) {
    if (access.path.empty()) continue;
    LineLog& file = files[access.path];
    if (!file) {
      auto opened = LineLog::open(access.path);
      if (!opened) return fail(Errc::io, "access log {}; check its path", opened.error().message);
      file = std::move(*opened);
    }
    access_logs_[role] = {file, access.json, host_.host_name};
  }
  return {};
}

/// The descriptors that are allowed bound what can be connected.
uint64_t Daemon::affordable_connections() const {
  const uint64_t files = io::open_files_max();
  return files > 2 * other_files ? files - other_files : files / 2;
}

LimitsConfig Daemon::affordable_limits() const {
  LimitsConfig limits = plan_.limits;
  limits.connections = std::min(limits.connections, affordable_connections());
  return limits;
}

void Daemon::use_limits() {
  const LimitsConfig limits = affordable_limits();
  if (limits.connections < plan_.limits.connections) {
    log_.warn(
        "{} open files are allowed: {} connections instead of limits.connections {}; raise LimitNOFILE "
        "(ulimit "
        "-n) to {}",
        io::open_files_max(), limits.connections, plan_.limits.connections,
        plan_.limits.connections + other_files);
  }
  overload_->set_memory_max(limits.memory_max);
  for (const auto& [role, server] : servers_) server->configure(limit_listeners(limits));
}

}  // namespace krakend::daemon
