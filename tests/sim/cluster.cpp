#include "sim/cluster.h"

#include <algorithm>
#include <utility>

#include "daemon/config.h"
#include "daemon/options.h"
#include "daemon/plan.h"
#include "sim/net.h"
#include "sim/stream_client.h"
#include "support/take.h"

namespace krakend::sim {

/// One run of the program. The daemon goes first, then what it ran on.
struct Node::Process {
  Process(Cluster& cluster, Node& node, uint64_t seed)
      : clock(cluster.time_),
        random(seed),
        net(cluster.network_.attach(node.id_)),
        disk(cluster.time_, random, cluster.trace_, node.id_, node.platters_, node.options_.disk,
             node.options_.mount) {}
  SimClock clock;
  test::SeededRandom random;
  std::unique_ptr<io::Net> net;
  SimDisk disk;
  std::unique_ptr<daemon::Daemon> daemon;
  bool ended = false;
};

namespace {

/// For what has been told to end.
constexpr Duration patience = 2min;

LogOptions log_to(const std::string& path) {
  LogOptions options;
  options.level = LogLevel::debug;
  options.outputs = {path};
  return options;
}

}  // namespace

Node::Node(Cluster& cluster, HostId id, NodeOptions options)
    : cluster_(cluster), id_(id), options_(std::move(options)) {
  platters_.set_clock(cluster.clock_);
}
Node::~Node() = default;

Result<void> Node::start() {
  if (process_) return fail(Errc::conflict, "{} runs already", name());
  const uint64_t seed = cluster_.random_.next();
  auto process = std::make_unique<Process>(cluster_, *this, seed);
  process->disk.break_path(broken_path_);
  process->disk.slow_down(slowness_);
  process->clock.step_wall(wall_ahead_);
  cluster_.databases_.set(name(), &process->disk);
  if (auto launched = launch(*process); !launched) return launched;
  process_ = std::move(process);
  Process* const mine = process_.get();
  mine->daemon->start([mine] { mine->ended = true; });
  return {};
}

Result<void> Node::launch(Process& process) {
  const std::string root = "/" + name();
  const std::string config_path = root + "/krakend.yaml";
  if (auto made = io::make_dirs_durably(platters_, root); !made) return made;
  if (auto written = io::write_file_durably(platters_, config_path, options_.yaml); !written) return written;
  std::vector<std::string> args = options_.args;
  args.insert(args.end(),
              {"--config=" + config_path, "--data-dir=" + root + "/data", "--listen-address=" + ip()});
  auto command = daemon::parse_command_line(args);
  if (!command) return propagate(command);
  auto config = daemon::load_config(command->options, process.disk);
  if (!config) return propagate(config);
  const daemon::HostFacts facts{ip(), name()};
  auto plan = daemon::make_plan(command->options, *config, facts, process.random);
  if (!plan) return propagate(plan);
  io::Loop& loop = cluster_.time_.loop();
  const auto make_client = [&process,
                            &loop](const http::ClientOptions& options) -> std::unique_ptr<http::Client> {
    return std::make_unique<StreamClient>(loop, process.clock, *process.net, options);
  };
  process.daemon =
      std::make_unique<daemon::Daemon>(daemon::Surroundings{loop, process.clock, process.random, *process.net,
                                                            process.disk, make_client, true},
                                       command->options, *config, std::move(*plan),
                                       daemon::backends_of(*config), facts, cluster_.log_.role(name()));
  return {};
}

void Node::break_disk(std::string path) {
  broken_path_ = std::move(path);
  if (process_) process_->disk.break_path(broken_path_);
}

void Node::slow_disk(double times) {
  slowness_ = times;
  if (process_) process_->disk.slow_down(times);
}

void Node::step_clock(Duration by) {
  wall_ahead_ += by;
  if (process_) process_->clock.step_wall(by);
}

bool Node::ready() const {
  return process_ && process_->daemon->ready();
}

bool Node::ended() const {
  return process_ && process_->ended;
}

void Node::stop() {
  if (process_) process_->daemon->stop();
}

void Node::crash() {
  cluster_.network_.take_down(id_);
  if (!process_) return;
  process_->disk.cut();
  cluster_.databases_.set(name(), nullptr);
  platters_.lose_power(cluster_.random_);
  process_->daemon->stop();
  cluster_.dying_.push_back(std::move(process_));
}

void Node::power_on() {
  cluster_.network_.bring_up(id_);
}

Cluster::Cluster(ClusterOptions options)
    : options_(std::move(options)),
      random_(options_.seed),
      network_(time_, random_, trace_, options_.network),
      log_(options_.log_path.empty() ? Logger() : Logger::create(log_to(options_.log_path), "sim")),
      tasks_(time_.loop(), log_) {
  time_.set_offload_cost(options_.offload_cost);
  trace_.keep_events(options_.keep_events);
}

Cluster::~Cluster() {
  stop_tasks();
  for (auto& node : nodes_) node->stop();
  (void)run_until(
      [&] {
        const bool running =
            std::any_of(nodes_.begin(), nodes_.end(), [](auto& node) { return node->running(); });
        return !running && dying_.empty();
      },
      patience);
}

void Cluster::stop_tasks() {
  bool stopped = false;
  io::TaskGroup last(time_.loop(), log_);
  const auto stop = [&]() -> Task<> {
    co_await tasks_.stop();
    stopped = true;
  };
  last.spawn(stop(), "stop");
  (void)run_until([&] { return stopped && last.size() == 0; }, patience);
}

Node& Cluster::add(NodeOptions options) {
  const HostId id = network_.add_host(options.host);
  nodes_.push_back(std::make_unique<Node>(*this, id, std::move(options)));
  return *nodes_.back();
}

std::unique_ptr<http::Client> Cluster::make_client(HostId host) {
  nets_.push_back(network_.attach(host));
  return std::make_unique<StreamClient>(time_.loop(), clock_, *nets_.back(), http::ClientOptions{});
}

void Cluster::reap() {
  for (auto& node : nodes_) {
    if (!node->process_ || !node->process_->ended) continue;
    node->exit_status_ = node->process_->daemon->exit_status();
    node->process_.reset();
    databases_.set(node->name(), nullptr);
  }
  std::erase_if(dying_, [](const auto& process) { return process->ended; });
}

bool Cluster::run_until(const std::function<bool()>& done, Duration limit) {
  constexpr unsigned steps_per_reap = 4096;
  unsigned steps = 0;
  return time_.run_until(
      [&] {
        if (steps++ % steps_per_reap == 0) reap();
        return done();
      },
      limit);
}

void Cluster::run_for(Duration length) {
  const TimePoint end = time_.now() + length;
  bool over = false;
  const auto id = time_.at(end, [&] { over = true; });
  (void)run_until([&] { return over; }, length + 1s);
  time_.cancel(id);
}

bool Cluster::start_all(Duration limit) {
  for (auto& node : nodes_) {
    if (node->running() || !node->wanted()) continue;
    test::take(node->start());
  }
  size_t ready = 0;
  return run_until(
      [&] {
        while (ready < nodes_.size() && (nodes_[ready]->ready() || !nodes_[ready]->wanted())) ++ready;
        return ready == nodes_.size();
      },
      limit);
}

bool Cluster::stop_all(Duration limit) {
  for (auto& node : nodes_) node->stop();
  size_t gone = 0;
  const auto all_ended = [&] {
    while (gone < nodes_.size() && (!nodes_[gone]->process_ || nodes_[gone]->process_->ended)) ++gone;
    if (gone < nodes_.size()) return false;
    reap();
    return dying_.empty();
  };
  if (!run_until(all_ended, limit)) return false;
  return std::all_of(nodes_.begin(), nodes_.end(),
                     [](auto& node) { return node->exit_status().value_or(0) == 0; });
}

}  // namespace krakend::sim
