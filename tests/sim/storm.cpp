#include "sim/storm.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "support/take.h"

namespace krakend::sim {
namespace {

constexpr std::string_view plain = "tls: {server: {disabled: true}, client: {disabled: true}}\n";
constexpr const char* tag = "latest";
constexpr uint16_t registry_port = 16000;
/// Virtual time within which what can finish has to have finished.
constexpr Duration work_limit = 30min;
constexpr Duration check_limit = 15min;

template <class T>
T pick(io::Random& random, std::initializer_list<T> values) {
  return *(values.begin() + static_cast<ptrdiff_t>(random.below(values.size())));
}

NetworkOptions network_of(const StormOptions& options) {
  NetworkOptions network;
  network.latency = {{options.latency}};
  network.stall_chance = options.stall_chance;
  network.reset_chance = options.reset_chance;
  network.chunk = 64 * KiB;
  return network;
}

}  // namespace

StormOptions StormOptions::draw(uint64_t seed) {
  test::SeededRandom random(seed);
  StormOptions out;
  out.seed = seed;
  out.origins = static_cast<unsigned>(1 + random.below(4));
  out.trackers = static_cast<unsigned>(1 + random.below(3));
  out.agents = static_cast<unsigned>(2 + random.below(5));
  out.images = static_cast<unsigned>(1 + random.below(4));
  out.layers = static_cast<unsigned>(1 + random.below(3));
  out.moves = static_cast<unsigned>(1 + random.below(3));
  out.largest = pick<uint64_t>(random, {4 * KiB, 300 * KiB, 3 * MiB, 12 * MiB});
  out.piece_length = pick<uint64_t>(random, {64 * KiB, 256 * KiB, 1 * MiB, 4 * MiB});
  out.max_replica = static_cast<unsigned>(1 + random.below(3));
  out.rate = pick<uint64_t>(random, {10'000'000, 100'000'000, 1'000'000'000});
  out.latency = pick<Duration>(random, {50us, 500us, 5ms, 40ms});
  out.sync_time = pick<Duration>(random, {0ms, 1ms, 20ms});
  out.disk_rate = pick<uint64_t>(random, {50'000'000, 500'000'000});
  out.stall_chance = pick<double>(random, {0.0, 0.0, 0.001, 0.01});
  out.reset_chance = pick<double>(random, {0.0, 0.0, 0.0001, 0.001});
  return out;
}

std::string StormOptions::text() const {
  return fmt::format(
      "origins {} trackers {} agents {} images {} layers {} moves {} largest {} piece_length {} max_replica "
      "{} rate {} "
      "latency {} us sync {} us disk {} stalls {} resets {}",
      origins, trackers, agents, images, layers, moves, largest, piece_length, max_replica, rate,
      std::chrono::duration_cast<std::chrono::microseconds>(latency).count(),
      std::chrono::duration_cast<std::chrono::microseconds>(sync_time).count(), disk_rate, stall_chance,
      reset_chance);
}

Storm::Storm(StormOptions options, const std::string& log_path)
    : options_(options), cluster_({options.seed, network_of(options), 20us, true, log_path}) {
  build();
}

void Storm::add(const std::string& name, unsigned net, unsigned number, const std::string& role,
                const std::string& yaml) {
  HostOptions host{fmt::format("10.{}.0.{}", net, number + 1), 0, options_.rate, options_.rate};
  DiskOptions disk{options_.disk_rate, options_.sync_time, 0};
  std::vector<std::string> args{"--role=" + role};
  if (role == "origin" || role == "agent") args.push_back("--peer-ip=" + host.ip);
  cluster_.add({name, std::move(host), disk, std::move(args), std::string(plain) + yaml});
}

void Storm::build() {
  std::vector<std::string> origins;
  std::vector<std::string> trackers;
  for (unsigned i = 0; i < options_.origins; ++i) origins.push_back(fmt::format("10.1.0.{}:15002", i + 1));
  for (unsigned i = 0; i < options_.trackers; ++i) trackers.push_back(fmt::format("10.2.0.{}:15003", i + 1));
  const std::string to_origins = fmt::format("origin: {{hosts: {}}}\n", static_list(origins));
  const std::string to_index = fmt::format("build_index: {{hosts: {}}}\n", static_list({"10.3.0.1:15004"}));
  for (unsigned i = 0; i < options_.origins; ++i) {
    add(fmt::format("origin{}", i), 1, i, "origin",
        fmt::format("cluster: {}\nmetainfogen: {{piece_lengths: {{0: {}B}}}}\nhashring: {{max_replica: {}}}\n"
                    "writeback: {{retry_interval: 5s}}\n",
                    static_list(origins), options_.piece_length, options_.max_replica));
  }
  for (unsigned i = 0; i < options_.trackers; ++i)
    add(fmt::format("tracker{}", i), 2, i, "tracker", to_origins);
  add("index0", 3, 0, "build-index", to_origins);
  add("proxy0", 5, 0, "proxy", to_origins + to_index);
  for (unsigned i = 0; i < options_.agents; ++i) {
    add(fmt::format("agent{}", i), 4, i, "agent",
        fmt::format("tracker: {{hosts: {}}}\n", static_list(trackers)) + to_index);
  }
  client_host_ = cluster_.add_host({"10.9.0.1", 0, 0, 0});
  liar_host_ = cluster_.add_host({"10.9.0.2", 0, options_.rate, options_.rate});
  test::SeededRandom random(options_.seed + 1);
  for (unsigned i = 0; i < options_.images; ++i) {
    Image image{fmt::format("repo{}", i), {}};
    for (unsigned layer = 0; layer <= options_.layers; ++layer) {
      // Sizes of every order of magnitude, the first one small as a configuration is.
      const double most = std::log2(static_cast<double>(layer == 0 ? 4 * KiB : options_.largest));
      const auto size = static_cast<uint64_t>(std::exp2(random.unit() * most));
      blobs_.push_back(std::make_unique<SimBlob>(random.next(), std::max<uint64_t>(size, 1)));
      image.layers.push_back(blobs_.back().get());
    }
    images_.push_back(std::move(image));
  }
}

Duration Storm::between(Duration least, Duration most) {
  return least +
         Duration{static_cast<int64_t>(random().below(static_cast<uint64_t>((most - least).count()) + 1))};
}

Node& Storm::node(const std::string& name) {
  for (auto& node : cluster_.nodes()) {
    if (node->name() == name) return *node;
  }
  throw std::runtime_error("no node " + name);
}

Node& Storm::any(std::string_view role) {
  std::vector<Node*> found;
  for (auto& node : cluster_.nodes()) {
    if (node->name().starts_with(role)) found.push_back(node.get());
  }
  return *found.at(random().below(found.size()));
}

Task<> Storm::restart(Node& node, Duration down) {
  cluster_.trace().note(cluster_.time().elapsed(), node.id(), "crash");
  node.crash();
  co_await cluster_.clock().sleep(down);
  if (cluster_.network().up(node.id())) co_return;  // healed meanwhile
  node.power_on();
  if (auto started = node.start(); !started)
    fail(node.name() + " does not start: " + started.error().message);
}

void Storm::fail(std::string what) {
  failures_.push_back(fmt::format("{:.6f} s: {}", to_seconds(cluster_.time().elapsed()), what));
}

Task<> Storm::counted(Task<> task) {
  struct Guard {
    unsigned& count;
    ~Guard() { --count; }
  };
  const Guard guard{workers_};
  co_await std::move(task);
}

/// Pushes the layers, then moves the tag, as often as the run has it. What is not acknowledged in spite of
/// all attempts is given up: the faults are to blame until they are healed.
Task<> Storm::push_image(const Image& image) {
  RegistryClient client(cluster_, client_host_);
  const io::Address proxy{"10.5.0.1", 15000};
  const std::string repo = image.repo;
  const std::string tag_name = tag;
  co_await cluster_.clock().sleep(between(0s, 5s));
  std::vector<SimBlob> pushed;
  for (const SimBlob* blob : image.layers) {
    auto done = co_await client.push(proxy, repo, *blob);
    if (!done) co_return;
    acknowledged_.insert(blob);
    pushed.push_back(*blob);
  }
  for (unsigned move = 0; move < options_.moves; ++move) {
    // Another manifest each time: the layers in another order.
    std::rotate(pushed.begin() + 1, pushed.begin() + 1 + (pushed.size() > 2 ? 1 : 0), pushed.end());
    const std::string manifest = manifest_of(pushed) + std::string(move, ' ');
    TagState& state = tags_[repo];
    state.possible.insert(manifest);
    auto put = co_await client.put_manifest(proxy, repo, tag_name, manifest);
    if (put) {
      state.acknowledged = manifest;
      state.possible = {manifest};
    }
    co_await cluster_.clock().sleep(between(0s, 3s));
  }
}

/// Pulls every image once it can be had, and compares every byte.
Task<> Storm::pull_images(Node& agent) {
  const io::Address registry{agent.ip(), registry_port};
  for (const Image& image : images_) {
    co_await cluster_.clock().sleep(between(0s, 4s));
    RegistryClient client(cluster_, agent.id());
    const std::string repo = image.repo;
    const std::string tag_name = tag;
    auto manifest = co_await client.get_manifest(registry, repo, tag_name);
    if (!manifest) continue;
    for (const SimBlob* blob : image.layers) {
      auto pulled = co_await client.pull(registry, repo, *blob);
      if (!pulled && pulled.error().code == Errc::corrupt) fail(agent.name() + ": " + pulled.error().message);
    }
  }
}

/// After healing: the tag leads to what was acknowledged, and all of it can be read.
Task<> Storm::check_image(const Image& image, io::Address registry) {
  RegistryClient client(cluster_, client_host_);
  const std::string repo = image.repo;
  const std::string tag_name = tag;
  const std::string where = fmt::format("{} at {}", repo, registry.str());
  for (const SimBlob* blob : image.layers) {
    if (!acknowledged_.contains(blob)) continue;
    auto pulled = co_await client.pull(registry, repo, *blob);
    if (!pulled) fail(fmt::format("acknowledged, but not readable: {}: {}", where, pulled.error().message));
  }
  const auto state = tags_.find(repo);
  if (state == tags_.end() || state->second.acknowledged.empty()) co_return;
  auto manifest = co_await client.get_manifest(registry, repo, tag_name);
  if (!manifest)
    fail(fmt::format("acknowledged tag is gone: {}: {}", where, manifest.error().message));
  else if (!state->second.possible.contains(*manifest))
    fail(fmt::format("tag leads to something older: {}", where));
}

void Storm::heal() {
  cluster_.network().heal();
  for (auto& node : cluster_.nodes()) {
    node->platters().set_capacity(uint64_t{1} << 40);
    node->repair_disk();
    if (!cluster_.network().up(node->id())) node->power_on();
  }
}

Outcome Storm::run(Fault fault) {
  constexpr Duration start_limit = 2min;
  if (!cluster_.start_all(start_limit)) fail("the cluster does not start");
  const auto work = [&](Task<> task, const char* name) {
    ++workers_;
    cluster_.tasks().spawn(counted(std::move(task)), name);
  };
  for (const Image& image : images_) work(push_image(image), "push");
  for (auto& node : cluster_.nodes()) {
    if (node->name().starts_with("agent")) work(pull_images(*node), "pull");
  }
  if (fault) cluster_.tasks().spawn(fault(*this), "fault");
  if (!cluster_.run_until([this] { return workers_ == 0; }, work_limit)) fail("the work does not end");
  heal();
  if (!cluster_.start_all(start_limit)) fail("a node does not start again");
  cluster_.run_for(30s);  // health checks find the way back
  for (const Image& image : images_) {
    work(check_image(image, {"10.5.0.1", 15000}), "check");
    work(check_image(image, {any("agent").ip(), registry_port}), "check");
  }
  if (!cluster_.run_until([this] { return workers_ == 0; }, check_limit)) fail("the check does not end");
  constexpr Duration stop_limit = 1min;
  if (!cluster_.stop_all(stop_limit)) fail("a process does not end cleanly");
  return {failures_, cluster_.trace().hash(), to_seconds(cluster_.time().elapsed()),
          cluster_.time().events()};
}

}  // namespace krakend::sim
