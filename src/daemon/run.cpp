#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <variant>
#include <vector>

#include "daemon/config.h"
#include "daemon/daemon.h"
#include "daemon/gc_command.h"
#include "daemon/options.h"
#include "daemon/plan.h"
#include "daemon/print_config.h"
#include "daemon/process.h"
#include "krakend/daemon/main.h"
#include "krakend/io/system.h"

namespace krakend::daemon {
namespace {

constexpr int wrong_usage = 2;
constexpr int cannot_run = 1;

int complain(const Error& error, int status) {
  fmt::print(stderr, "krakend: {}\n", error.message);
  return status;
}

/// The process has one log: the most talkative role decides the level.
LogOptions log_options(const Config& config) {
  LogOptions log;
  log.level = LogLevel::error;
  for (Component* component : config.components()) {
    log.level = std::min(log.level, component->common().log_level);
    log.json = log.json || component->common().log_json;
  }
  return log;
}

void log_unused(const Config& config, const Logger& log) {
  for (Component* component : config.components()) {
    const Logger role = log.role(std::string(to_string(component->role))).module("config");
    if (component->common().metrics.backend == MetricsBackend::m3)
      role.warn("metrics are not sent to m3: scrape GET /metrics, or set metrics.backend to statsd");
    for (const UnusedKey& key : component->table.unused()) {
      if (key.path == "allowed_cidrs") {
        role.warn("{} ({}) is not enforced: whoever reaches the registry port may pull", key.path, key.where);
      } else {
        role.info("{} ({}): accepted, not used", key.path, key.where);
      }
    }
  }
}

/// The daemon as a process: on the system's loop, clock, network and disk, until a signal.
class Process {
 public:
  Process(const Options& options, Plan plan, Daemon::Backends backends, HostFacts host, Logger log)
      : log_(log),
        daemon_(
            {loop_, *clock_, *random_, *net_, *disk_,
             [this](const http::ClientOptions& client) { return http::make_client(loop_, *clock_, client); }},
            options, std::move(plan), std::move(backends), std::move(host), std::move(log)) {}

  /// The exit status.
  int run() {
    const io::SignalWatch signals(loop_, [this](int number) { on_signal(number); });
    daemon_.start([this] { loop_.stop(); });
    loop_.run();
    return daemon_.exit_status();
  }

 private:
  void on_signal(int number) {
    if (number == SIGHUP) {
      log_.info("SIGHUP has no effect; restart to read the configuration again");
      return;
    }
    if (daemon_.stopping()) std::_Exit(1);
    log_.info("stopping on signal {}; a second one stops at once", number);
    daemon_.stop();
  }

  Logger log_;
  io::Loop loop_;
  const std::unique_ptr<io::Clock> clock_ = io::make_system_clock(loop_);
  const std::unique_ptr<io::Random> random_ = io::make_system_random();
  const std::unique_ptr<io::Net> net_ = io::make_tcp_net(loop_, *clock_);
  const std::unique_ptr<io::Disk> disk_ = io::make_posix_disk();
  Daemon daemon_;
};

int run_with(const Options& options) {
  const std::unique_ptr<io::Disk> disk = io::make_posix_disk();
  const std::unique_ptr<io::Random> random = io::make_system_random();
  Result<Config> config = load_config(options, *disk);
  if (!config) return complain(config.error(), cannot_run);
  const HostFacts host{io::local_ipv4(), io::host_name()};
  Result<Plan> plan = make_plan(options, *config, host, *random);
  if (!plan) return complain(plan.error(), cannot_run);
  if (options.print_config) {
    fmt::print("{}", print_config(options, *config, *plan));
    return 0;
  }
  const Logger log = Logger::create(log_options(*config), "krakend");
  log_unused(*config, log);
  Process process(options, std::move(*plan), backends_of(*config), host, log);
  return process.run();
}

int run_gc_with(const std::vector<std::string>& args) {
  auto command = parse_gc(args);
  if (!command) return complain(command.error(), wrong_usage);
  if (const auto* text = std::get_if<std::string>(&*command)) {
    fmt::print("{}", *text);
    return 0;
  }
  return run_gc(std::get<GcCommand>(*command));
}

}  // namespace

int run(int argc, char** argv) {
  tune_process();
  std::vector<std::string> args(argv + std::min(argc, 1), argv + argc);
  if (!args.empty() && args.front() == "gc") {
    args.erase(args.begin());
    return run_gc_with(args);
  }
  Result<Command> command = parse_command_line(args);
  if (!command) return complain(command.error(), wrong_usage);
  if (command->text) {
    fmt::print("{}", *command->text);
    return 0;
  }
  try {
    return run_with(command->options);
  } catch (const std::exception& error) {
    return complain({Errc::internal, error.what()}, cannot_run);
  }
}

}  // namespace krakend::daemon
