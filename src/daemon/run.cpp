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
#include "daemon/config_command.h"
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

void log_unused(const Config& config, const Logger& log) {
  for (Component* component : config.components()) {
    const Logger role = log.role(std::string(to_string(component->role))).module("config");
    if (component->common().metrics.backend == MetricsBackend::m3)
      role.warn("metrics are not sent to m3: scrape GET /metrics, or set metrics.backend to statsd");
    for (const ConfigProblem& problem : component->table.problems()) role.warn("{}", problem.error.message);
    for (const UnusedKey& key : component->table.unused())
      role.info("{} ({}): accepted, not used", key.path, key.where);
  }
}

/// The daemon as a process: on the system's loop, clock, network and disk, until a signal.
class Process {
 public:
  Process(const Options& options, const Config& config, Plan plan, Daemon::Backends backends, HostFacts host, Logger log)
      : log_(log),
        daemon_(
            {loop_, *clock_, *random_, *net_, *disk_,
             [this](const http::ClientOptions& client) { return http::make_client(loop_, *clock_, client); }},
            options, config, std::move(plan), std::move(backends), std::move(host), std::move(log)) {}

  /// The exit status.
  int run() {
    const io::SignalWatch signals(loop_, [this](int number) { on_signal(number); });
    loop_.on_failure([this](const std::string& reason) { daemon_.give_up(reason); });
    daemon_.start([this] { loop_.stop(); });
    loop_.run();
    return daemon_.exit_status();
  }

 private:
  void on_signal(int number) {
    if (number == SIGHUP) {
      daemon_.reload_soon();
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

/// Where the log files are to lie.
Result<void> make_log_folders(const Plan& plan, io::Disk& disk) {
  std::vector<std::string> files = plan.log.outputs;
  for (const auto& [role, access] : plan.access_logs) files.push_back(access.path);
  for (const std::string& file : files) {
    if (!file.starts_with('/')) continue;
    if (auto made = disk.make_dirs(io::parent_path(file)); !made)
      return fail(made.error().code, "log file {}: {}", file, made.error().message);
  }
  return {};
}

int run_with(const Options& options) {
  const std::unique_ptr<io::Disk> disk = io::make_posix_disk();
  const std::unique_ptr<io::Random> random = io::make_system_random();
  Result<Config> config = load_config(options, *disk);
  if (!config) return complain(config.error(), cannot_run);
  const HostFacts host{io::local_ipv4(), io::host_name(), io::boot_id()};
  Result<Plan> plan = make_plan(options, *config, host, *random);
  if (!plan) return complain(plan.error(), cannot_run);
  if (options.print_config) {
    fmt::print("{}", print_config(options, *config, *plan));
    return 0;
  }
  if (auto made = make_log_folders(*plan, *disk); !made) return complain(made.error(), cannot_run);
  const Logger log = Logger::create(plan->log, "krakend");
  log_unused(*config, log);
  Process process(options, *config, std::move(*plan), backends_of(*config), host, log);
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

int run_config_with(const std::vector<std::string>& args) {
  const Result<ConfigCommand> command = parse_config_command(args);
  return command ? run_config(*command) : complain(command.error(), wrong_usage);
}

}  // namespace

int run(int argc, char** argv) {
  tune_process();
  std::vector<std::string> args(argv + std::min(argc, 1), argv + argc);
  if (!args.empty() && args.front() == "gc") {
    args.erase(args.begin());
    return run_gc_with(args);
  }
  if (!args.empty() && args.front() == "config") {
    args.erase(args.begin());
    return run_config_with(args);
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
