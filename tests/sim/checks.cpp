#include "sim/checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>

namespace krakend::sim {
namespace {

using Gauges = std::map<std::string, double>;

/// Where a process tells its metrics: its first port.
std::optional<io::Address> metrics_of(const Node& node) {
  const std::map<std::string, uint16_t> ports{{"origin", 15002}, {"tracker", 15003}, {"index", 15004},
                                              {"proxy", 15000},  {"agent", 16002},   {"herd", 15002}};
  for (const auto& [role, port] : ports) {
    if (node.name().starts_with(role)) return io::Address{node.ip(), port};
  }
  return std::nullopt;
}

/// The largest value of each gauge over its labels.
Gauges parse(std::string_view text) {
  Gauges out;
  while (!text.empty()) {
    const auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    const size_t blank = line.rfind(' ');
    if (line.starts_with('#') || blank == std::string_view::npos) continue;
    double value = 0;
    const auto number = line.substr(blank + 1);
    (void)std::from_chars(number.data(), number.data() + number.size(), value);
    auto& kept = out[std::string(line.substr(0, line.find_first_of("{ ")))];
    kept = std::max(kept, value);
  }
  return out;
}

/// Nothing where the process does not answer.
Task<Gauges> read_metrics(http::Client& client, io::Address address) {
  http::ClientRequest request;
  request.host = address;
  request.target = "/metrics";
  constexpr Duration patience = 10s;
  request.idle_timeout = patience;
  request.total_timeout = patience;
  auto answer = co_await client.send(request);
  if (!answer || answer->status != 200) co_return Gauges{};
  co_return parse(answer->body);
}

struct Most {
  const char* metric;
  double value;
};

std::vector<Most> limits_of(const Storm& storm, const Node& node) {
  const StormOptions& options = storm.options();
  // The one that has the rate to itself may be asked for one piece more than the budget.
  const double requested = 128.0 * MiB + 8 * static_cast<double>(options.piece_length);
  std::vector<Most> out{{"krakend_p2p_requested_bytes", requested},   {"krakend_p2p_handshakes", 1024},
                        {"krakend_p2p_queued_requests_of_peer", 512}, {"krakend_p2p_uploads", 16},
                        {"krakend_http_requests_running", 8192},      {"krakend_prefetch_blobs_running", 5},
                        {"krakend_prefetch_blobs_waiting", 65'536}};
  constexpr unsigned old_max_open_conn = 10;
  const unsigned connections =
      options.starts_old ? std::max(old_max_open_conn, options.max_open_conn) : options.max_open_conn;
  if (node.name().starts_with("index")) {
    out.push_back({"krakend_tag_replication_tasks", static_cast<double>(options.images)});
    out.push_back({"krakend_tag_replication_tasks_running", 4});
  }
  if (node.name().starts_with("agent"))
    out.push_back({"krakend_p2p_connections_of_torrent", static_cast<double>(connections)});
  return out;
}

}  // namespace

Task<> watch_limits(Storm& storm) {
  constexpr Duration interval = 1s;
  constexpr size_t most_files = 512;
  auto client = storm.cluster().make_client(storm.client_host());
  while (true) {
    co_await storm.cluster().clock().sleep(interval);
    for (auto& node : storm.cluster().nodes()) {
      const auto address = metrics_of(*node);
      if (!node->running() || !address) continue;
      const Gauges gauges = co_await read_metrics(*client, *address);
      for (const auto& [metric, most] : limits_of(storm, *node)) {
        const auto found = gauges.find(metric);
        if (found != gauges.end() && found->second > most)
          storm.fail(fmt::format("{}: {} is {}, at most {}", node->name(), metric, found->second, most));
      }
      if (node->platters().open_files() > most_files)
        storm.fail(fmt::format("{}: {} files are open", node->name(), node->platters().open_files()));
    }
  }
}

Task<> check_idle(Storm& storm) {
  auto client = storm.cluster().make_client(storm.client_host());
  for (auto& node : storm.cluster().nodes()) {
    const auto address = metrics_of(*node);
    if (!node->running() || !address) continue;
    const Gauges gauges = co_await read_metrics(*client, *address);
    for (const char* metric :
         {"krakend_p2p_connections", "krakend_p2p_requested_bytes", "krakend_p2p_queued_requests",
          "krakend_p2p_uploads", "krakend_p2p_uploads_waiting", "krakend_p2p_handshakes",
          "krakend_prefetch_blobs_running", "krakend_prefetch_blobs_waiting", "krakend_tag_replication_tasks",
          "krakend_tag_replication_remotes_away"}) {
      const auto found = gauges.find(metric);
      if (found != gauges.end() && found->second > 0)
        storm.fail(fmt::format("{}: idle, but {} is {}", node->name(), metric, found->second));
    }
  }
}

Task<> check_backends(Storm& storm) {
  constexpr unsigned looks = 40;
  constexpr Duration pause = 10s;
  std::vector<std::pair<test::MemoryDisk*, std::string>> roots;
  if (storm.options().shared_backend) roots.emplace_back(&storm.file_server(), "/shared/blobs");
  if (storm.options().shared_backend) roots.emplace_back(&storm.file_server(), "/shared/blobs-elsewhere");
  for (auto& node : storm.cluster().nodes()) {
    if (node->name().starts_with("origin") || node->name().starts_with("herd"))
      roots.emplace_back(&node->platters(), "/" + node->name() + "/data/backend");
  }
  const auto kept = [&](const SimBlob& blob) {
    const std::string hex = blob.digest.hex();
    const std::string tail =
        fmt::format("/docker/registry/v2/blobs/sha256/{}/{}/data", hex.substr(0, 2), hex);
    for (auto& [disk, root] : roots) {
      const auto found = disk->stat(root + tail);
      if (found && found->size == blob.content->size()) return true;
    }
    return false;
  };
  for (const auto& blob : storm.all()) {
    if (!storm.ledger().has(blob.get())) continue;
    for (unsigned i = 0; i < looks && !kept(*blob); ++i) co_await storm.cluster().clock().sleep(pause);
    if (!kept(*blob)) storm.fail("acknowledged, but in no backend: " + blob->digest.str());
  }
}

}  // namespace krakend::sim
