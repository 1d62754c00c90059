#include <algorithm>
#include <variant>

#include "daemon/daemon.h"

namespace krakend::daemon {
namespace {

/// What a reload has read.
struct Wanted {
  Config config;
  Plan plan;
};

/// Reads the files as at start. Pool.
Result<Wanted> read_wanted(const Options& options, const HostFacts& host, io::Disk& disk) {
  Result<Config> config = load_config(options, disk);
  if (!config) return propagate(config);
  const std::unique_ptr<io::Random> random = io::make_system_random();
  Result<Plan> plan = make_plan(options, *config, host, *random);
  if (!plan) return propagate(plan);
  return Wanted{std::move(*config), std::move(*plan)};
}

/// An origin must not drop out of its own ring.
Result<void> check_ring(const Plan& running, const Plan& wanted) {
  if (!running.origin || !wanted.origin) return {};
  const std::vector<std::string>& members = wanted.origin->cluster.fixed;
  const std::string& self = running.origin->self;
  if (members.empty() || std::find(members.begin(), members.end(), self) != members.end()) return {};
  return fail(Errc::invalid_argument, "cluster.static lacks this origin, {}; add it", self);
}

}  // namespace

void Daemon::give_up(const std::string& reason) {
  if (stopping_) return;
  log_.error("{}: the process ends", reason);
  exit_status_ = 1;
  stop();
}

void Daemon::reload_soon() {
  tasks_.spawn(reload_and_tell(), "reload");
}

Task<Result<RunningConfig::Changes>> Daemon::read_again() {
  if (!ready_ || stopping_) co_return fail(Errc::unavailable, "the process is starting or stopping");
  if (reloading_) co_return fail(Errc::unavailable, "a reload is under way");
  if (!options_.config_file && !options_.secrets_file)
    co_return fail(Errc::invalid_argument,
                   "the process was started without --config: there is nothing to read");
  reloading_ = true;
  auto wanted = co_await around_.loop.offload([this] { return read_wanted(options_, host_, around_.disk); });
  reloading_ = false;
  if (!wanted) co_return propagate(wanted);
  if (auto checked = check_ring(plan_, wanted->plan); !checked) co_return propagate(checked);
  if (auto renewed = co_await tls_.reload(); !renewed) co_return propagate(renewed);
  const RunningConfig::Changes changes = running_.adopt(wanted->config);
  if (!changes.live.empty()) apply(std::move(wanted->plan), changes);
  co_return changes;
}

/// Takes over what may change while the process runs; the rest of the plan stays as it is.
void Daemon::apply(Plan plan, const RunningConfig::Changes& changes) {
  fill_local_hosts(plan);
  log_.set_level(plan.log.level);
  plan_.limits = plan.limits;
  plan_.drain_delay = plan.drain_delay;
  plan_.drain_timeout = plan.drain_timeout;
  use_limits();
  if (evictor_) evictor_->configure(plan.eviction);
  if (origin_ && changes.touches(Role::origin)) origin_->configure(*plan.origin);
  if (build_index_ && changes.touches(Role::build_index)) build_index_->configure(*plan.build_index);
  if (tracker_ && changes.touches(Role::tracker)) tracker_->configure(*plan.tracker);
  if (proxy_ && changes.touches(Role::proxy)) proxy_->configure(*plan.proxy);
  if (agent_ && changes.touches(Role::agent)) agent_->configure(*plan.agent);
}

Task<http::Response> Daemon::reload() {
  const auto changes = co_await read_again();
  if (!changes) {
    log_.error("not reloaded, everything stays as it was: {}", changes.error().message);
    const int status = changes.error().code == Errc::unavailable ? 503 : 400;
    co_return http::text_response(status, changes.error().message + "\n");
  }
  log_.info("reloaded: changed: {}", RunningConfig::Changes::text(changes->live));
  if (!changes->needs_restart.empty())
    log_.warn("reloaded: a restart is needed for: {}", RunningConfig::Changes::text(changes->needs_restart));
  co_return http::json_response(200, changes->json());
}

Task<> Daemon::reload_and_tell() {
  (void)co_await reload();  // the log tells
}

void Daemon::stop() {
  if (stopping_) return;
  stopping_ = true;
  io::notify_service_manager("STOPPING=1");
  tasks_.spawn(stop_roles(), "stop");
}

/// Not ready at once; then no new connections; what runs may finish. What a role of this process may still
/// ask of another one stays open until the former has ended.
Task<> Daemon::drain() {
  if (ready_ && exit_status_ == 0 && plan_.drain_delay > Duration::zero())
    co_await around_.clock.sleep(plan_.drain_delay);
  const TimePoint deadline = around_.clock.now() + plan_.drain_timeout;
  if (agent_) agent_->drain();
  for (const Role role : {Role::agent, Role::proxy, Role::tracker, Role::build_index})
    co_await stop_server(role, deadline);
  if (origin_) origin_->drain();
  co_await stop_server(Role::origin, deadline);
  const auto left = [&] { return std::max(deadline - around_.clock.now(), Duration::zero()); };
  if (agent_) co_await agent_->drained(left());
  if (origin_) co_await origin_->drained(left());
}

Task<> Daemon::stop_server(Role role, TimePoint deadline) {
  const auto server = servers_.find(role);
  if (server == servers_.end()) co_return;
  co_await server->second->stop(std::max(deadline - around_.clock.now(), Duration::zero()));
}

Task<> Daemon::stop_roles() {
  co_await drain();
  co_await background_.stop();
  if (agent_) co_await agent_->stop();
  if (proxy_) co_await proxy_->stop();
  if (tracker_) co_await tracker_->stop();
  if (build_index_) co_await build_index_->stop();
  if (origin_) co_await origin_->stop();
  if (build_index_database_) co_await build_index_database_->stop();
  if (origin_database_) co_await origin_database_->stop();
  leave_when_idle();
}

/// This task and a start that was under way have to end first.
void Daemon::leave_when_idle() {
  leaving_ = around_.clock.after(1ms, [this] { leave(); });
}

void Daemon::leave() {
  if (tasks_.size() > 0) return leave_when_idle();
  if (exit_status_ == 0) log_.info("stopped");
  const auto ended = std::move(ended_);
  ended();
}

}  // namespace krakend::daemon
