#include "sim/storm.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "sim/checks.h"
#include "sim/prefetch.h"

namespace krakend::sim {
namespace {

const std::string plain = "tls: {server: {disabled: true}, client: {disabled: true}}\n";
constexpr const char* tag = "latest";
constexpr const char* origins_name = "origins.sim";
constexpr uint16_t registry_port = 16000;
/// Virtual time within which what can finish has to have finished.
constexpr Duration work_limit = 30min;
constexpr Duration start_limit = 2min;
constexpr Duration stop_limit = 1min;

/// The block of one role among several.
std::string block(const std::string& role, std::string_view yaml) {
  std::string out = role + ":\n";
  while (!yaml.empty()) {
    const auto line = yaml.substr(0, yaml.find('\n'));
    out += fmt::format("  {}\n", line);
    yaml.remove_prefix(std::min(yaml.size(), line.size() + 1));
  }
  return out;
}

std::string host_ip(unsigned net, unsigned number) {
  return fmt::format("10.{}.0.{}", net, number + 1);
}

std::string origin_ip(unsigned number) {
  return host_ip(1, number);
}

/// Names of images that are replicated begin with this, the others do not.
constexpr const char* travelling = "repo";
constexpr const char* settled = "own";

}  // namespace

Storm::Storm(StormOptions options, const std::string& log_path)
    : options_(options), cluster_({options.seed, options.network(), 20us, true, log_path}) {
  file_server_.set_clock(cluster_.clock());
  build();
}

io::Address Storm::server(unsigned net, unsigned side, uint16_t port) const {
  return {host_ip(options_.herd ? 6 : net, side * second), port};
}

unsigned Storm::side_of(const Node& node) {
  const auto digits = node.name().substr(node.name().find_first_of("0123456789"));
  return std::stoul(digits) >= second ? 1 : 0;
}

/// Faults, clients and checks refer to what goes before the cluster does.
Storm::~Storm() {
  cluster_.stop_tasks();
}

void Storm::add(const std::string& name, unsigned net, unsigned number, const std::string& role,
                const std::string& yaml) {
  HostOptions host{host_ip(net, number), 0, options_.rate, options_.rate};
  DiskOptions disk{options_.disk_rate, options_.sync_time, 0};
  std::vector<std::string> args{"--role=" + role};
  yaml_[name] = yaml;
  const std::string scheduler = scheduler_of(name, options_.starts_old);
  if (!scheduler.empty()) args.push_back("--peer-ip=" + host.ip);
  const Mount mount{server_path, &file_server_, options_.backend_latency, options_.listing_lag};
  cluster_.add({name, std::move(host), disk, std::move(args), yaml_[name] + scheduler, mount});
}

/// Only who takes part in the swarm has the block.
std::string Storm::scheduler_of(const std::string& name, bool old) const {
  if (name.starts_with("tracker") || name.starts_with("index") || name.starts_with("proxy")) return "";
  const std::string own = old ? StormOptions::old_scheduler() : options_.scheduler();
  return name.starts_with("herd") ? "  " + own : own;
}

void Storm::build() {
  for (unsigned side = 0; side < sides(); ++side) {
    build_servers(side);
    build_agents(side);
  }
  client_host_ = cluster_.add_host({"10.9.0.1", 0, 0, 0});
  liar_host_ = cluster_.add_host({"10.9.0.2", 0, options_.rate, options_.rate});
  build_images();
}

void Storm::build_agents(unsigned side) {
  const std::string index =
      fmt::format("build_index: {{hosts: {}}}\n", static_list({this->index(side).str()}));
  const unsigned first = side * second;
  std::vector<std::string> trackers;
  for (unsigned i = first; i < first + options_.trackers && !options_.herd; ++i)
    trackers.push_back(host_ip(2, i) + ":15003");
  if (options_.herd) trackers.push_back(tracker().str());
  for (unsigned i = first; i < first + options_.agents; ++i) {
    add(fmt::format("agent{}", i), 4, i, "agent",
        plain + fmt::format("tracker: {{hosts: {}}}\n", static_list(trackers)) + index);
  }
}

std::string Storm::remotes_of(unsigned side) const {
  const bool wanted = options_.second_cluster && (side == 0 || options_.both_ways);
  if (!wanted) return "";
  return fmt::format("remotes: {{\"{}\": [\"^{}\"]}}\ntag_replication: {{retry_interval: 5s}}\n",
                     index(1 - side).str(), travelling);
}

void Storm::build_servers(unsigned side) {
  const unsigned first = side * second;
  std::vector<std::string> hosts;
  for (unsigned i = first; i < first + options_.origins; ++i) hosts.push_back(origin_ip(i) + ":15002");
  const std::string origins =
      options_.named_origins ? fmt::format("{{dns: \"{}:15002\"}}", origins_name) : static_list(hosts);
  if (side == 0) name_origins(0, options_.origins);
  const auto backends = [this, side](const char* directory, const char* names) {
    if (!options_.shared_backend) return std::string();
    return fmt::format(
        "backends: [{{namespace: \".*\", backend: {{file: {{root: {}/{}{}, name_path: {}}}}}}}]\n",
        server_path, directory, side == 0 ? "" : "-elsewhere", names);
  };
  const std::string blobs = backends("blobs", "sharded_docker_blob");
  const std::string of_origin =
      plain +
      fmt::format("metainfogen: {{piece_lengths: {{0: {}B}}}}\nwriteback: {{retry_interval: 5s}}\n",
                  options_.piece_length) +
      // What waits for its write-back cannot be taken away.
      (options_.prefetchers > 0 ? "blobserver: {duplicate_write_back_stagger: 1s}\n" : "");
  std::string of_proxy = plain + "registry: {delete_enabled: true}\n";
  if (options_.prefetchers > 0) {
    of_proxy += fmt::format("server: {{listener: {{net: tcp, addr: \"{}:{}\"}}}}\n", proxy().host,
                            PrefetchClient::server_port);
  }
  if (options_.herd) {
    // The origin comes last: its `scheduler` block is added at the end.
    add("herd0", 6, 0, "herd",
        block("build-index", plain) + block("tracker", plain) + block("proxy", of_proxy) +
            block("origin", of_origin));
    return;
  }
  for (unsigned i = first; i < first + options_.origins; ++i) {
    add(fmt::format("origin{}", i), 1, i, "origin",
        of_origin + blobs +
            fmt::format("cluster: {}\nhashring: {{max_replica: {}}}\n", origins, options_.max_replica));
  }
  const std::string to_origins = fmt::format("origin: {{hosts: {}}}\n", origins);
  for (unsigned i = first; i < first + options_.trackers; ++i)
    add(fmt::format("tracker{}", i), 2, i, "tracker", plain + to_origins);
  add(fmt::format("index{}", first), 3, first, "build-index",
      plain + to_origins + remotes_of(side) + backends("tags", "docker_tag"));
  const std::string to_index = fmt::format("build_index: {{hosts: {}}}\n", static_list({index(side).str()}));
  add(fmt::format("proxy{}", first), 5, first, "proxy", of_proxy + to_origins + to_index);
}

/// Who prefetches names a namespace, of one part or of several.
std::string Storm::repo_name(unsigned number) const {
  const char* const ns = options_.prefetchers == 0 ? "" : number % 2 == 0 ? "team/" : "team/deep/";
  return fmt::format("{}repo{}", ns, number);
}

void Storm::build_images() {
  test::SeededRandom random(options_.seed + 1);
  for (unsigned i = 0; i < options_.images; ++i) {
    Image image{repo_name(i), {}};
    if (options_.second_cluster) {
      image.repo = fmt::format("{}{}", travelling, i);
      constexpr unsigned settled_every = 4;
      image.travels = i % settled_every != settled_every - 1;
      if (!image.travels) image.repo = fmt::format("{}{}", settled, i);
      image.side = options_.both_ways ? i % 2 : 0;
    }
    for (unsigned layer = 0; layer <= options_.layers; ++layer) {
      if (layer > 0 && !images_.empty() && random.unit() < options_.overlap) {
        const SimBlob* const other = images_[random.below(images_.size())].layers.back();
        if (std::find(image.layers.begin(), image.layers.end(), other) == image.layers.end())
          image.layers.push_back(other);
        continue;
      }
      // Sizes of every order of magnitude, the first one small as a configuration is.
      const uint64_t largest = layer == 0 ? 4 * KiB : options_.largest;
      const double least = std::log2(static_cast<double>(std::min(options_.least, largest)));
      const double most = std::log2(static_cast<double>(largest));
      const auto size = static_cast<uint64_t>(std::exp2(least + random.unit() * (most - least)));
      blobs_.push_back(std::make_unique<SimBlob>(random.next(), std::max<uint64_t>(size, 1)));
      image.layers.push_back(blobs_.back().get());
    }
    images_.push_back(std::move(image));
  }
}

void Storm::name_origins(unsigned first, unsigned last) {
  std::vector<std::string> ips;
  for (unsigned i = first; i < last; ++i) ips.push_back(origin_ip(i));
  cluster_.network().set_name(origins_name, std::move(ips));
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
    const bool steady =
        node->name().starts_with("agent") && std::stoul(node->name().substr(5)) < options_.steady_agents;
    if (node->name().starts_with(role) && node->wanted() && !steady) found.push_back(node.get());
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

Task<> Storm::upgrade(Node& node) {
  constexpr Duration look = 100ms;
  cluster_.trace().note(cluster_.time().elapsed(), node.id(), "upgrade");
  node.stop();
  const TimePoint limit = cluster_.time().now() + stop_limit;
  while (node.running() && !node.ended() && cluster_.time().now() < limit)
    co_await cluster_.clock().sleep(look);
  cluster_.reap();
  if (node.running()) {
    fail(node.name() + " does not end");
    co_return;
  }
  if (node.exit_status().value_or(0) != 0) fail(node.name() + " does not end cleanly");
  node.set_yaml(yaml_[node.name()] + scheduler_of(node.name(), false));
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

void Storm::spawn(Task<> task, const char* name) {
  ++workers_;
  cluster_.tasks().spawn(counted(std::move(task)), name);
}

void Storm::run_task(Task<> task, Duration limit, const char* name) {
  spawn(std::move(task), name);
  if (!cluster_.run_until([this] { return workers_ == 0; }, limit))
    fail(fmt::format("{} does not end", name));
}

Task<bool> Storm::push_layers(RegistryClient& client, const Image& image) {
  const std::string repo = image.repo;
  for (const SimBlob* blob : image.layers) {
    auto done = co_await client.push(proxy(image.side), repo, *blob);
    if (!done) co_return false;
    ledger_.pushed(blob);
    co_await cluster_.clock().sleep(between(0s, options_.think_time));
  }
  co_return true;
}

/// Pushes the layers, then moves the tag, as often as the run has it. What is not acknowledged in spite of
/// all attempts is given up: the faults are to blame until they are healed.
Task<> Storm::push_image(const Image& image) {
  RegistryClient client(cluster_, client_host_);
  const std::string repo = image.repo;
  const std::string tag_name = tag;
  co_await cluster_.clock().sleep(between(0s, options_.pushed_within));
  const bool pushed = co_await push_layers(client, image);
  if (!pushed && options_.calm) fail(repo + ": a layer is refused, although nothing happened");
  if (!pushed) co_return;
  std::vector<SimBlob> layers;
  for (const SimBlob* blob : image.layers) layers.push_back(*blob);
  for (unsigned move = 0; move < options_.moves; ++move) {
    // Another manifest each time: the layers in another order.
    std::rotate(layers.begin() + 1, layers.begin() + 1 + (layers.size() > 2 ? 1 : 0), layers.end());
    const std::string manifest = manifest_of(layers) + std::string(move, ' ');
    ledger_.attempt(repo, manifest);
    auto put = co_await client.put_manifest(proxy(image.side), repo, tag_name, manifest);
    if (put)
      ledger_.acknowledge(repo, manifest);
    else if (options_.calm)
      fail(
          fmt::format("{}: a manifest is refused, although nothing happened: {}", repo, put.error().message));
    co_await cluster_.clock().sleep(between(0s, 3s));
  }
  if (&image - images_.data() < static_cast<ptrdiff_t>(options_.deletions))
    co_await remove_image(client, image);
}

Task<> Storm::remove_image(RegistryClient& client, const Image& image) {
  const std::string repo = image.repo;
  if (!ledger_.promised(repo)) co_return;
  co_await cluster_.clock().sleep(between(0s, 5s));
  const std::string manifest = ledger_.last(repo);
  ledger_.attempt(repo, Ledger::gone);
  auto removed = co_await client.remove_manifest(proxy(), repo, manifest);
  if (removed) ledger_.remove(repo);
}

/// Pulls every image once it can be had, and compares every byte.
Task<> Storm::pull_images(Node& agent) {
  const io::Address registry{agent.ip(), registry_port};
  const bool steady = std::stoul(agent.name().substr(5)) < options_.steady_agents;
  for (const Image& image : images_) {
    if (image.side != side_of(agent) && !image.travels) continue;
    if (!options_.even) co_await cluster_.clock().sleep(between(0s, 4s));
    RegistryClient client(cluster_, agent.id());
    const std::string repo = image.repo;
    const std::string tag_name = tag;
    auto manifest = co_await client.get_manifest(registry, repo, tag_name);
    if (!manifest) continue;
    for (const SimBlob* blob : image.layers) {
      const TimePoint asked = cluster_.time().now();
      auto pulled = co_await client.pull(registry, repo, *blob);
      waits_[blob].push_back(to_seconds(cluster_.time().now() - asked));
      if (!pulled && pulled.error().code == Errc::corrupt) fail(agent.name() + ": " + pulled.error().message);
      if (steady && (!pulled || client.failed_pulls() > 0))
        fail(fmt::format("{}: a pull failed, although nothing happened to it", agent.name()));
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
    // A collector may have removed what no tag leads to.
    if (!ledger_.has(blob) || (options_.collects && !ledger_.tagged(repo))) continue;
    auto pulled = co_await client.pull(registry, repo, *blob);
    if (!pulled) fail(fmt::format("acknowledged, but not readable: {}: {}", where, pulled.error().message));
  }
  if (!ledger_.promised(repo)) co_return;
  auto manifest = co_await client.find_manifest(registry, repo, tag_name);
  if (!manifest)
    fail(fmt::format("acknowledged tag cannot be read: {}: {}", where, manifest.error().message));
  else if (!ledger_.allows(repo, *manifest))
    fail(fmt::format("tag leads to {}: {}", manifest->empty() ? "nothing" : "something older", where));
}

Node& Storm::agent_of(unsigned side) {
  for (;;) {
    Node& agent = any("agent");
    if (side_of(agent) == side) return agent;
  }
}

Task<> Storm::check_elsewhere(const Image& image) {
  // Retries come every 5 s at last, and an outcome of a copy is told for 15 s.
  constexpr Duration travel_limit = 5min;
  constexpr Duration look = 5s;
  RegistryClient client(cluster_, client_host_);
  const std::string repo = image.repo;
  const std::string tag_name = tag;
  const unsigned there = 1 - image.side;
  const TimePoint limit = cluster_.time().now() + travel_limit;
  if (image.travels && !ledger_.promised(repo)) co_return;
  while (image.travels) {
    auto manifest = co_await client.find_manifest(proxy(there), repo, tag_name);
    const bool arrived = manifest && ledger_.allows(repo, *manifest);
    if (arrived || cluster_.time().now() > limit) break;
    co_await cluster_.clock().sleep(look);
  }
  if (image.travels) {
    const io::Address agent{agent_of(there).ip(), registry_port};
    co_await check_image(image, proxy(there));
    co_await check_image(image, agent);
    co_return;
  }
  auto manifest = co_await client.find_manifest(proxy(there), repo, tag_name);
  if (!manifest)
    fail(fmt::format("{} cannot be asked for in the other cluster: {}", repo, manifest.error().message));
  else if (!manifest->empty())
    fail(repo + " is not to be replicated, and is in the other cluster");
}

void Storm::heal() {
  healed_ = true;
  cluster_.network().heal();
  for (auto& node : cluster_.nodes()) {
    node->platters().set_capacity(uint64_t{1} << 40);
    node->repair_disk();
    node->slow_disk(1);
    cluster_.network().set_rates(node->id(), options_.rate, options_.rate);
    if (!cluster_.network().up(node->id())) node->power_on();
  }
}

void Storm::check_images() {
  for (const Image& image : images_) {
    spawn(check_image(image, proxy(image.side)), "check");
    spawn(check_image(image, {agent_of(image.side).ip(), registry_port}), "check");
    if (options_.second_cluster) spawn(check_elsewhere(image), "check elsewhere");
  }
  if (!cluster_.run_until([this] { return workers_ == 0; }, check_limit)) fail("the check does not end");
}

/// None of the agents waited much longer than the others, and none took much more than it needed.
void Storm::check_waits() {
  constexpr double factor = 4;
  constexpr double seconds = 2;
  for (auto& [blob, waits] : waits_) {
    std::sort(waits.begin(), waits.end());
    if (waits.back() > factor * waits[waits.size() / 2] + seconds)
      fail(fmt::format("{}: one agent waited {:.2f} s, most {:.2f} s", blob->digest.str(), waits.back(),
                       waits[waits.size() / 2]));
  }
  uint64_t needed = 0;
  for (const auto& blob : blobs_) needed += blob->content->size();
  constexpr uint64_t duplicates = 3;  // pieces, which an endgame may ask for
  const uint64_t most = needed + needed / 20 + duplicates * options_.piece_length + MiB;
  for (auto& node : cluster_.nodes()) {
    const uint64_t got = cluster_.network().counters(node->id()).received;
    if (node->name().starts_with("agent") && got > most)
      fail(fmt::format("{} got {} bytes for {}", node->name(), got, needed));
  }
}

/// When nobody has asked for anything for a while, nobody talks; and stopped processes leave nothing open.
void Storm::check_quiet() {
  constexpr Duration idle = 7min;  // seeder_tti, and some looks at it
  cluster_.run_for(idle);
  run_task(check_idle(*this), check_limit, "check of idleness");
  if (!cluster_.stop_all(stop_limit)) fail("a process does not end cleanly");
  for (auto& node : cluster_.nodes()) {
    if (const size_t open = node->platters().open_files(); open > 0)
      fail(fmt::format("{}: ended, but {} files are open", node->name(), open));
  }
  if (const size_t open = file_server_.open_files(); open > 0)
    fail(fmt::format("the file server: {} files are open", open));
}

Outcome Storm::run(Fault fault) {
  if (!cluster_.start_all(start_limit)) fail("the cluster does not start");
  cluster_.tasks().spawn(watch_limits(*this), "limits");
  for (const Image& image : images_) spawn(push_image(image), "push");
  if (options_.pushes_first && !cluster_.run_until([this] { return workers_ == 0; }, work_limit))
    fail("the pushes do not end");
  for (auto& node : cluster_.nodes()) {
    if (node->name().starts_with("agent")) spawn(pull_images(*node), "pull");
  }
  if (options_.collects) cluster_.tasks().spawn(collect_garbage(), "collector");
  for (unsigned i = 0; i < options_.prefetchers; ++i) cluster_.tasks().spawn(prefetch_images(), "prefetch");
  if (fault && options_.fault_ends)
    spawn(fault(*this), "fault");
  else if (fault)
    cluster_.tasks().spawn(fault(*this), "fault");
  if (!cluster_.run_until([this] { return workers_ == 0; }, work_limit)) fail("the work does not end");
  if (!cluster_.run_until([this] { return background_ == 0; }, check_limit)) fail("a fault does not end");
  if (options_.even) check_waits();
  heal();
  if (!cluster_.start_all(start_limit)) fail("a node does not start again");
  cluster_.run_for(30s);  // health checks find the way back
  if (options_.prefetchers > 0) check_prefetches();
  check_images();
  if (options_.collects)
    check_garbage();
  else
    run_task(check_backends(*this), check_limit, "check of backends");
  check_quiet();
  return {failures_, cluster_.trace().hash(), to_seconds(cluster_.time().elapsed()),
          cluster_.time().events()};
}

}  // namespace krakend::sim
