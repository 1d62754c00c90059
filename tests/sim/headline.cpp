#include "sim/headline.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <numeric>

#include "krakend/cluster/hosts.h"
#include "krakend/io/system.h"
#include "sim/storm_options.h"
#include "sim/workload.h"

namespace krakend::sim {
namespace {

constexpr std::string_view plain = "tls: {server: {disabled: true}, client: {disabled: true}}\n";
constexpr uint16_t registry_port = 16000;
constexpr unsigned slowness = 10;  ///< of a slow host
constexpr const char* repository = "image";

class Headline {
 public:
  explicit Headline(const HeadlineOptions& options)
      : options_(options), cluster_({options.seed, options.network, 50us, false, options.log_path}) {}

  /// The clients' tasks refer to what goes before the cluster does.
  ~Headline() { cluster_.stop_tasks(); }
  Headline(const Headline&) = delete;
  Headline& operator=(const Headline&) = delete;

  bool run() {
    const double began = seconds_of_processor();
    build();
    start();
    pull_all();
    report(seconds_of_processor() - began);
    return good();
  }

 private:
  static double seconds_of_processor() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
  }

  HostOptions host(unsigned net, unsigned number) const {
    constexpr unsigned per_net = 250;
    return {fmt::format("10.{}.{}.{}", net, number / per_net, number % per_net + 1), 0, options_.rate,
            options_.rate};
  }
  /// Those are evenly spread.
  bool is_old(size_t agent) const {
    const auto before = [&](size_t agents) { return std::floor(static_cast<double>(agents) * options_.old); };
    return before(agent + 1) > before(agent);
  }
  /// The first agents are the slow ones, the last ones die.
  bool is_slow(size_t agent) const { return static_cast<double>(agent) < options_.slow * options_.hosts; }
  bool dies(size_t agent) const {
    return static_cast<double>(options_.hosts - agent) <= options_.crashing * options_.hosts;
  }
  HostOptions agent_host(unsigned number) const {
    HostOptions at = host(4, number);
    if (is_slow(number)) at.egress = at.ingress = options_.rate / slowness;
    return at;
  }
  /// Seconds: every byte leaves the origins once, and arrives at each host that wants it.
  double bound() const {
    const auto rate = static_cast<double>(options_.rate);
    uint64_t most = 0;
    for (size_t i = 0; i < wanted_.size(); i += options_.layers) {
      uint64_t bytes = 0;
      for (unsigned layer = 0; layer < options_.layers; ++layer)
        bytes += blobs_[wanted_[i + layer]].content->size();
      most = std::max(most, bytes);
    }
    return std::max(static_cast<double>(all_bytes()) / options_.origins, static_cast<double>(most)) / rate;
  }
  uint64_t all_bytes() const {
    uint64_t bytes = 0;
    for (const SimBlob& blob : blobs_) bytes += blob.content->size();
    return bytes;
  }
  /// Of virtual time; slow hosts are waited for.
  Duration limit() const {
    constexpr double spare = 2 * slowness;
    constexpr Duration least = 60s;
    return least + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(spare * bound()));
  }
  void add(std::string name, HostOptions at, std::string role, std::string yaml) {
    std::vector<std::string> args{"--role=" + role};
    if (role == "origin" || role == "agent") args.push_back("--peer-ip=" + at.ip);
    cluster_.add({std::move(name), std::move(at), {}, std::move(args), std::string(plain) + yaml});
  }

  void make_blobs() {
    const unsigned count = options_.blobs > 0 ? options_.blobs : options_.layers;
    const double range = static_cast<double>(options_.largest) / static_cast<double>(options_.smallest);
    for (unsigned i = 0; i < count; ++i) {
      uint64_t size = options_.image / options_.layers;
      if (options_.blobs > 0)
        size = static_cast<uint64_t>(static_cast<double>(options_.smallest) *
                                     std::pow(range, cluster_.random().unit()));
      blobs_.emplace_back(options_.seed * 1000 + i, size);
    }
    std::vector<unsigned> order(count);
    std::iota(order.begin(), order.end(), 0U);
    for (unsigned host = 0; host < options_.hosts; ++host) {
      for (unsigned layer = 0; layer < options_.layers; ++layer) {
        if (options_.blobs > 0)
          std::swap(order[layer], order[layer + cluster_.random().below(count - layer)]);
        wanted_.push_back(order[layer]);
      }
    }
  }

  void build() {
    make_blobs();
    std::vector<std::string> origins;
    std::vector<std::string> trackers;
    for (unsigned i = 0; i < options_.origins; ++i) origins.push_back(host(1, i).ip + ":15002");
    for (unsigned i = 0; i < options_.trackers; ++i) trackers.push_back(host(2, i).ip + ":15003");
    const std::string scheduler = options_.upstream ? StormOptions::old_scheduler() : "";
    for (unsigned i = 0; i < options_.origins; ++i) {
      add(fmt::format("origin{}", i), host(1, i), "origin",
          fmt::format("cluster: {}\nmetainfogen: {{piece_lengths: {{0: {}B}}}}\n{}", static_list(origins),
                      options_.piece_length, scheduler));
    }
    const std::string to_origins = fmt::format("origin: {{hosts: {}}}\n", static_list(origins));
    for (unsigned i = 0; i < options_.trackers; ++i) {
      add(fmt::format("tracker{}", i), host(2, i), "tracker",
          to_origins + "trackerserver: {announce_limit: 50, announce_interval: 3s}\n");
    }
    add("index", host(3, 0), "build-index", to_origins);
    first_agent_ = cluster_.nodes().size();
    for (unsigned i = 0; i < options_.hosts; ++i) {
      add(fmt::format("agent{}", i), agent_host(i), "agent",
          fmt::format("tracker: {{hosts: {}}}\nbuild_index: {{hosts: {}}}\n{}", static_list(trackers),
                      static_list({host(3, 0).ip + ":15004"}),
                      is_old(i) ? StormOptions::old_scheduler() : scheduler));
    }
    const cluster::HashRing ring(cluster::Hosts(origins), 3, [](const std::string&) { return true; });
    for (const SimBlob& blob : blobs_) {
      const auto owners = ring.locations(blob.digest);
      for (unsigned i = 0; i < options_.origins; ++i) {
        if (std::find(owners.begin(), owners.end(), origins[i]) != owners.end())
          plant(cluster_, *cluster_.nodes()[i], blob, options_.piece_length);
      }
    }
  }

  void start() {
    constexpr Duration patience = 60s;
    if (!cluster_.start_all(patience)) throw std::runtime_error("a node does not start");
    cluster_.run_for(5s);
    for (size_t i = 0; i < first_agent_; ++i)
      sent_before_.push_back(cluster_.network().counters(cluster_.nodes()[i]->id()).sent);
  }

  Task<> pull_image(Node& node, size_t number, Duration delay) {
    auto& client = *clients_[number];
    co_await cluster_.clock().sleep(delay);
    for (unsigned i = 0; i < options_.layers; ++i) {
      const size_t at = number * options_.layers + i;
      cluster_.tasks().spawn(pull_layer(client, node, blobs_[wanted_[at]], pulls_[at]), "pull");
    }
  }
  Task<> pull_layer(http::Client& client, Node& node, const SimBlob& blob, Pull& out) {
    const io::Address registry{node.ip(), registry_port};
    const std::string repo = repository;
    co_await pull(cluster_, client, registry, repo, blob, out);
    ++ended_;
  }

  Task<> crash_half_way() {
    const std::chrono::duration<double> half(bound() / 2);
    co_await cluster_.clock().sleep(std::chrono::duration_cast<Duration>(half));
    for (size_t i = 0; i < options_.hosts; ++i) {
      if (dies(i)) cluster_.nodes()[first_agent_ + i]->crash();
    }
  }

  void pull_all() {
    pulls_.resize(size_t{options_.hosts} * options_.layers);
    for (size_t i = 0; i < options_.hosts; ++i) {
      Node& node = *cluster_.nodes()[first_agent_ + i];
      clients_.push_back(cluster_.make_client(node.id()));
      const auto delay = Duration{
          static_cast<int64_t>(cluster_.random().unit() * static_cast<double>(options_.arrival.count()))};
      cluster_.tasks().spawn(pull_image(node, i, delay), "client");
    }
    began_ = cluster_.time().now();
    if (options_.crashing > 0) cluster_.tasks().spawn(crash_half_way(), "crash");
    TimePoint next = began_;
    (void)cluster_.run_until(
        [&] {
          if (cluster_.time().now() >= next) {
            tell_progress();
            next += 1s;
          }
          return ended_ == pulls_.size();
        },
        limit());
  }

  /// How busy the lines out of agents and origins were in the last second.
  void tell_progress() {
    uint64_t agents = 0;
    uint64_t origins = 0;
    for (size_t i = 0; i < cluster_.nodes().size(); ++i)
      (i < options_.origins ? origins : agents) +=
          cluster_.network().counters(cluster_.nodes()[i]->id()).sent;
    const auto share = [this](uint64_t bytes, size_t hosts) {
      return static_cast<double>(bytes) / static_cast<double>(hosts) / static_cast<double>(options_.rate);
    };
    fmt::print(stderr, "  {:5.1f} s: {} of {} downloads; agents send {:.2f} of their rate, origins {:.2f}\n",
               to_seconds(cluster_.time().now() - began_), ended_, pulls_.size(),
               share(agents - agents_sent_, options_.hosts),
               share(origins - origins_sent_, options_.origins));
    agents_sent_ = agents;
    origins_sent_ = origins;
  }

  bool good() const {
    for (size_t i = 0; i < pulls_.size(); ++i) {
      if (!pulls_[i].good() && !dies(i / options_.layers)) return false;
    }
    return true;
  }

  static std::string line(std::vector<double> values) {
    if (values.empty()) return "none";
    std::sort(values.begin(), values.end());
    const auto at = [&](double share) {
      return values[std::min(values.size() - 1,
                             static_cast<size_t>(share * static_cast<double>(values.size())))];
    };
    return fmt::format("p50 {:.2f}  p90 {:.2f}  p99 {:.2f}  p99.9 {:.2f}  max {:.2f}", at(0.5), at(0.9),
                       at(0.99), at(0.999), values.back());
  }

  double last_end() const {
    TimePoint first = TimePoint::max();
    TimePoint last{};
    for (const Pull& one : pulls_) {
      first = std::min(first, one.asked);
      if (one.ended) last = std::max(last, *one.ended);
    }
    return to_seconds(last - first);
  }

  void report(double processor) {
    std::vector<double> downloads;
    std::vector<double> slow;
    std::vector<double> old;
    std::vector<double> first;
    std::vector<double> images;
    size_t dead = 0;  // downloads
    size_t last_agent = pulls_.size();
    for (size_t i = 0; i < pulls_.size(); ++i) {
      const Pull& one = pulls_[i];
      const size_t agent = i / options_.layers;
      if (dies(agent)) {
        ++dead;
        continue;
      }
      if (!one.good()) {
        fmt::print("download {} failed: {}\n", i, one.wrong.value_or(one.failure.value_or("not ended")));
        continue;
      }
      if (is_slow(agent)) {
        slow.push_back(one.seconds());
        continue;
      }
      (is_old(agent) ? old : downloads).push_back(one.seconds());
      first.push_back(to_seconds(*one.first_byte - one.asked));
      if (agent != last_agent) images.push_back(0);
      last_agent = agent;
      images.back() = std::max(images.back(), one.seconds());
    }
    uint64_t egress = 0;
    for (unsigned i = 0; i < options_.origins; ++i)
      egress += cluster_.network().counters(cluster_.nodes()[i]->id()).sent - sent_before_[i];
    const double copies = static_cast<double>(egress) / static_cast<double>(all_bytes());
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    fmt::print("policy {}, {} hosts, {} bytes in {} blobs, {} for each host, pieces of {}, seed {}\n",
               options_.upstream ? "upstream's constants" : "shipped", options_.hosts, all_bytes(),
               blobs_.size(), options_.layers, options_.piece_length, options_.seed);
    fmt::print("downloads   {}\n", line(downloads));
    fmt::print("images      {}\n", line(images));
    fmt::print("first byte  {}\n", line(first));
    fmt::print("the last    {:.2f} s after the first was asked for\n", last_end());
    fmt::print("bound       {:.2f} s\n", bound());
    if (!old.empty()) fmt::print("old agents  {}\n", line(old));
    if (!slow.empty()) fmt::print("slow hosts  {}; bound {:.2f} s\n", line(slow), slowness * bound());
    if (dead > 0) fmt::print("died        {} hosts\n", dead / options_.layers);
    fmt::print("origins     {:.3f} copies sent by all, {:.3f} per origin\n", copies,
               copies / options_.origins);
    fmt::print("simulator   {:.1f} s of processor, {} MiB, {} events\n", processor, usage.ru_maxrss / 1024,
               cluster_.time().events());
    fmt::print("trace       {:016x}\n", cluster_.trace().hash());
    if (options_.results.empty()) return;
    std::ofstream out(options_.results);
    for (const double value : downloads) out << fmt::format("{:.4f}\n", value);
  }

  const HeadlineOptions options_;
  Cluster cluster_;
  std::vector<SimBlob> blobs_;
  std::vector<unsigned> wanted_;  ///< blobs, by agent and layer
  size_t first_agent_ = 0;
  std::vector<uint64_t> sent_before_;
  std::vector<std::unique_ptr<http::Client>> clients_;
  std::vector<Pull> pulls_;
  size_t ended_ = 0;
  TimePoint began_{};
  uint64_t agents_sent_ = 0;
  uint64_t origins_sent_ = 0;
};

}  // namespace

bool run_headline(const HeadlineOptions& options) {
  fmt::print("krakend-sim --scenario=headline --seed={} --hosts={}{}\n", options.seed, options.hosts,
             options.upstream ? " --upstream" : "");
  std::fflush(stdout);
  return Headline(options).run();
}

}  // namespace krakend::sim
