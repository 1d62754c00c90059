#include "daemon/daemon.h"

#include <fmt/format.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>

namespace krakend::daemon {
namespace {

/// Requests in progress get this long to finish after SIGTERM.
constexpr Duration drain_grace = 10s;

http::ClientOptions client_options(const Options& options) {
  constexpr unsigned threads_of_one_role = 32;
  constexpr unsigned threads_among_several = 12;  // per role: the process as a whole stays below 64 threads
  http::ClientOptions client;
  client.max_threads = options.single() ? threads_of_one_role : threads_among_several;
  return client;
}

/// The error with what to do about it, unless it says so itself.
Error cannot_listen(Error error) {
  if (error.message.find("choose another port") == std::string::npos)
    error.message += "; check --listen-address and the port flags";
  return error;
}

std::string in_process(const io::Address& bound) {
  return io::Address{connectable(bound.host), bound.port}.str();
}

}  // namespace

Daemon::Daemon(Options options, Plan plan, Backends backends, HostFacts host, Logger log)
    : options_(std::move(options)),
      plan_(std::move(plan)),
      backend_configs_(std::move(backends)),
      host_(std::move(host)),
      log_(std::move(log)),
      clock_(io::make_system_clock(loop_)),
      random_(io::make_system_random()),
      net_(io::make_tcp_net(loop_, *clock_)),
      disk_(io::make_posix_disk()),
      tls_({loop_, *clock_, *disk_}, metrics_, log_.module("tls")),
      server_(http::make_server(loop_, *clock_, *net_, log_.module("http"))),
      background_(loop_, log_.module("storage")),
      tasks_(loop_, log_.module("daemon")) {}

Daemon::~Daemon() = default;

int Daemon::run() {
  signals_ = std::make_unique<io::SignalWatch>(loop_, [this](int number) { on_signal(number); });
  loop_.post([this] { tasks_.spawn(start(), "start"); });
  loop_.run();
  signals_.reset();
  return exit_status_;
}

Task<> Daemon::start() {
  Result<void> started = co_await start_roles();
  if (stopping_) co_return;
  if (!started) {
    fmt::print(stderr, "krakend: {}\n", started.error().message);
    exit_status_ = 1;
    begin_stop();
    co_return;
  }
  log_.info("{}: data in {}", version_text(), plan_.data_dir);
  for (const Listener& listener : listeners_) {
    const std::string role(to_string(listener.role));
    log_.role(role).info("listener {} {} {}", role, listener.name, listener.address);
  }
  log_.info("ready");
  io::notify_service_manager("READY=1");
}

void Daemon::start_statsd() {
  for (const Plan::Statsd& statsd : plan_.statsd) {
    const std::string role(to_string(statsd.role));
    statsd_.push_back(
        std::make_unique<StatsdReporter>(StatsdReporter::Services{loop_, *clock_, metrics_.role(role)},
                                         statsd.target, statsd.prefix, log_.role(role)));
    background_.spawn(statsd_.back()->run(), "statsd");
  }
}

Task<Result<void>> Daemon::start_roles() {
  if (Result<void> loaded = tls_.load(plan_.tls); !loaded) co_return loaded;
  if (Result<void> opened = open_store(); !opened) co_return opened;
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
  store_ = std::make_unique<storage::BlobStore>(loop_, *disk_, *random_, plan_.store, log_.module("storage"),
                                                metrics);
  if (Result<void> opened = store_->open_directories(); !opened) return opened;
  evictor_ =
      std::make_unique<storage::Evictor>(storage::Evictor::Services{loop_, *clock_, *disk_, *store_},
                                         plan_.eviction, store_->places(), log_.module("storage"), metrics);
  store_->set_room_maker([this](uint64_t bytes) { return evictor_->free(bytes); });
  background_.spawn(evictor_->run(), "eviction");
  background_.spawn(store_->drain_memory(*clock_, background_), "memory cache");
  return {};
}

Result<void> Daemon::open_backends(backend::Backends& target, const std::vector<BackendConfig>& entries) {
  for (const BackendConfig& entry : entries) {
    Result<std::unique_ptr<backend::NamePath>> name_path =
        backend::make_name_path(entry.name_path, entry.root);
    if (!name_path)
      return fail(Errc::invalid_argument, "backends, {}: {}", entry.ns, name_path.error().message);
    const std::string probe = entry.root + "/.krakend-write-test";
    Result<void> writable = disk_->make_dirs(entry.root);
    if (writable) writable = io::write_file(*disk_, probe, "");
    if (writable) writable = disk_->remove(probe);
    if (!writable) {
      return fail(
          writable.error().code,
          "the backend directory {} cannot be written: {}; choose another with --data-dir or backends",
          entry.root, writable.error().message);
    }
    Result<void> added = target.add(
        entry.ns, backend::make_file_backend(loop_, *disk_, std::move(*name_path)), entry.must_ready);
    if (!added) return fail(Errc::invalid_argument, "backends: {}", added.error().message);
  }
  return {};
}

Result<uint16_t> Daemon::free_port(uint16_t wanted) {
  if (wanted != 0) return wanted;
  Result<std::unique_ptr<io::Listener>> probe = net_->listen({plan_.listen_host, 0});
  if (!probe) return propagate(probe);
  return (*probe)->local().port;
}

api::Services Daemon::services(Role role) {
  const Logger log = log_.role(std::string(to_string(role)));
  http::ClientOptions client = client_options(options_);
  client.tls = tls_.client(role);
  clients_.push_back(http::make_client(loop_, *clock_, std::move(client)));
  return {loop_,
          *clock_,
          *random_,
          *net_,
          *disk_,
          *server_,
          *clients_.back(),
          log,
          metrics_.role(std::string(to_string(role))),
          tls_.server(role)};
}

void Daemon::announce_listener(Role role, std::string_view name, const io::Address& address) {
  listeners_.push_back({role, std::string(name), address.str()});
}

Result<void> Daemon::open_origin_database() {
  auto database =
      storage::Database::open(loop_, *disk_, backend_configs_.origin_database, log_.role("origin"));
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
  cluster::HostWatch watch(*net_, *clock_, members, log_.role("origin"));
  const TimePoint deadline = clock_->now() + plan_.membership_wait_timeout;
  for (bool told = false;; told = true) {
    auto known = co_await watch.refresh();
    Result<std::string> label = fail(Errc::cancelled, "stopped");
    if (known) label = own_label(options_, host_, plan_, port, watch.hosts().list());
    if (label || stopping_) co_return label;
    const Error& error = known ? label.error() : known.error();
    if (clock_->now() >= deadline) {
      co_return fail(Errc::timeout, "cluster.dns {}: {}; waited {}", members.dns, error.message,
                     format_duration(plan_.membership_wait_timeout));
    }
    if (!told) log_.role("origin").info("waiting for cluster.dns {}: {}", members.dns, error.message);
    co_await clock_->sleep(plan_.membership_wait_interval);
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
  if (plan_.build_index->origins.empty()) plan_.build_index->origins = {origin_address_};
  Result<void> opened = open_backends(build_index_backends_, backend_configs_.build_index);
  if (!opened) return opened;
  build_index_ = std::make_unique<build_index::BuildIndex>(services(Role::build_index), build_index_backends_,
                                                           *plan_.build_index);
  auto bound = build_index_->start();
  if (!bound) return fail(cannot_listen(std::move(bound.error())));
  announce_listener(Role::build_index, "api", *bound);
  build_index_address_ = in_process(*bound);
  return {};
}

Result<void> Daemon::start_tracker() {
  if (!plan_.tracker) return {};
  if (plan_.tracker->origins.empty()) plan_.tracker->origins = {origin_address_};
  tracker_ = std::make_unique<tracker::Tracker>(services(Role::tracker), *plan_.tracker);
  auto bound = tracker_->start();
  if (!bound) return fail(cannot_listen(std::move(bound.error())));
  announce_listener(Role::tracker, "api", *bound);
  tracker_address_ = in_process(*bound);
  return {};
}

Result<void> Daemon::start_proxy() {
  if (!plan_.proxy) return {};
  if (plan_.proxy->origins.empty()) plan_.proxy->origins = {origin_address_};
  if (plan_.proxy->build_indexes.empty()) plan_.proxy->build_indexes = {build_index_address_};
  proxy_ = std::make_unique<proxy::Proxy>(services(Role::proxy), *store_, *plan_.proxy);
  auto bound = proxy_->start();
  if (!bound) return fail(cannot_listen(std::move(bound.error())));
  for (const io::Address& address : *bound) announce_listener(Role::proxy, "registry", address);
  return {};
}

Result<void> Daemon::start_agent() {
  if (!plan_.agent) return {};
  if (plan_.agent->trackers.empty()) plan_.agent->trackers = {tracker_address_};
  if (plan_.agent->build_indexes.empty()) plan_.agent->build_indexes = {build_index_address_};
  agent_ = std::make_unique<agent::Agent>(services(Role::agent), *store_, *plan_.agent);
  auto bound = agent_->start();
  if (!bound) return fail(cannot_listen(std::move(bound.error())));
  announce_listener(Role::agent, "registry", bound->registry);
  announce_listener(Role::agent, "server", bound->server);
  announce_listener(Role::agent, "peer", bound->p2p);
  return {};
}

void Daemon::on_signal(int number) {
  if (number == SIGHUP) {
    log_.info("SIGHUP has no effect; restart to read the configuration again");
    return;
  }
  if (stopping_) std::_Exit(1);
  log_.info("stopping on signal {}; a second one stops at once", number);
  begin_stop();
}

void Daemon::begin_stop() {
  if (stopping_) return;
  stopping_ = true;
  io::notify_service_manager("STOPPING=1");
  tasks_.spawn(stop_roles(), "stop");
}

Task<> Daemon::stop_roles() {
  co_await server_->stop(drain_grace);
  co_await background_.stop();
  if (agent_) co_await agent_->stop();
  if (proxy_) co_await proxy_->stop();
  if (tracker_) co_await tracker_->stop();
  if (build_index_) co_await build_index_->stop();
  if (origin_) co_await origin_->stop();
  if (origin_database_) co_await origin_database_->stop();
  loop_.post([this] { leave_when_idle(); });
}

void Daemon::leave_when_idle() {
  if (tasks_.size() > 0) {
    loop_.post([this] { leave_when_idle(); });
    return;
  }
  if (exit_status_ == 0) log_.info("stopped");
  loop_.stop();
}

}  // namespace krakend::daemon
