#include "daemon/plan.h"

#include "krakend/core/units.h"
#include "krakend/io/system.h"
#include "support.h"
#include "support/catch.h"

namespace krakend::daemon {
namespace {

using Catch::Matchers::Contains;

Result<Plan> planned(Options options, const HostFacts& host,
                     const std::map<std::string, std::string>& files = {}) {
  TextDisk disk(files);
  Result<Config> config = load_config(options, disk);
  if (!config) return propagate(config);
  const std::unique_ptr<io::Random> random = io::make_system_random();
  return make_plan(options, *config, host, *random);
}

Options herd() {
  return parse_command_line({"--role=herd"})->options;
}

TEST_CASE("a herd without a configuration keeps to the loopback") {
  const Result<Plan> plan = planned(herd(), {"10.1.1.1", "box"});
  REQUIRE(plan.has_value());
  CHECK(plan->listen_host == "127.0.0.1");
  CHECK(plan->peer_ip == "127.0.0.1");
  CHECK(plan->data_dir == "/var/lib/krakend/herd");
  CHECK(plan->origin->listen.str() == "127.0.0.1:15002");
  CHECK(plan->origin->p2p.port == 15001);
  CHECK(plan->tracker->listen.str() == "127.0.0.1:15003");
  CHECK(plan->build_index->listen.str() == "127.0.0.1:15004");
  CHECK(plan->proxy->listen.front().str() == "127.0.0.1:15000");
  CHECK_FALSE(plan->agent);
  CHECK(own_label(herd(), {"10.1.1.1", "box"}, *plan, 15002, {}) == std::string("127.0.0.1:15002"));
}

TEST_CASE("a proxy beside an origin cuts blobs as the origin does") {
  const auto command = parse_command_line({"--role=herd", "--config=/c"});
  const auto plan =
      planned(command->options, {}, {{"/c", "origin: {metainfogen: {piece_lengths: {0: 1MB, 1GB: 8MB}}}"}});
  REQUIRE(plan.has_value());
  CHECK(plan->proxy->piece_length(5 * MiB) == MiB);
  CHECK(plan->proxy->piece_length(GiB) == 8 * MiB);
}

TEST_CASE("an agent's list of addresses holds as soon as the file names it") {
  const auto allowed = [](const std::string& yaml) {
    const auto command = parse_command_line({"--role=agent", "--peer-ip=10.0.0.1", "--config=/c"});
    return planned(command->options, {}, {{"/c", yaml}})->agent->allowed_cidrs;
  };
  CHECK_FALSE(allowed("peer_id_factory: random"));
  REQUIRE(allowed("allowed_cidrs: []"));
  CHECK(allowed("allowed_cidrs: []")->empty());
  REQUIRE(allowed("allowed_cidrs: [127.0.0.1, 172.17.0.0/16]")->size() == 2);
  CHECK(allowed("allowed_cidrs: [127.0.0.1, 172.17.0.0/16]")->back().contains("172.17.3.4"));
}

TEST_CASE("a build-index knows itself among the build-indexes of its cluster") {
  const auto command = parse_command_line({"--role=build-index", "--port=7", "--listen-address=10.0.0.2"});
  HostFacts host;
  host.local_ipv4 = "10.0.0.1";
  host.host_name = "index1";
  const auto plan = planned(command->options, host, {});
  REQUIRE(plan.has_value());
  CHECK(plan->build_index->neighbours.self ==
        std::vector<std::string>{"index1:7", "10.0.0.2:7", "10.0.0.1:7"});
}

TEST_CASE("an agent's backup registry is an address") {
  const auto plan = [](const std::string& yaml) {
    const auto command = parse_command_line({"--role=agent", "--peer-ip=10.0.0.1", "--config=/c"});
    return planned(command->options, {}, {{"/c", yaml}});
  };
  CHECK_FALSE(plan("registry_backup: ''")->agent->registry_backup);
  CHECK(plan("registry_backup: 'r:5000'")->agent->registry_backup == io::Address{"r", 5000});
  CHECK_THAT(plan("registry_backup: r").error().message,
             Contains("/c:1: registry_backup: \"r\" is not host:port"));
}

TEST_CASE("an agent alone listens everywhere and announces the address others reach") {
  Options options = parse_command_line({"--role=agent"})->options;
  const Result<Plan> plan = planned(options, {"10.1.1.1", "box"});
  REQUIRE(plan.has_value());
  CHECK(plan->listen_host == "0.0.0.0");
  CHECK(plan->peer_ip == "10.1.1.1");
  CHECK(plan->agent->registry_listen.port == 16000);
  CHECK(plan->agent->p2p.port == 16001);
  CHECK(plan->agent->server_listen.port == 16002);
  CHECK(plan->agent->p2p.peer_id == addr_hash_peer_id("10.1.1.1", 16001));

  options.trackers = {"far:15003"};
  CHECK_THAT(planned(options, {std::nullopt, "box"}).error().message, Contains("--peer-ip"));
  options.trackers = {"127.0.0.1:15003"};
  CHECK(planned(options, {std::nullopt, "box"})->peer_ip == "127.0.0.1");
  options.listen_address = "127.0.0.2";
  CHECK(planned(options, {"10.1.1.1", "box"})->peer_ip == "127.0.0.2");
  options.peer_ip = "10.9.9.9";
  CHECK(planned(options, {"10.1.1.1", "box"})->agent->p2p.ip == "10.9.9.9");
}

TEST_CASE("agents on a free port do not share an identity") {
  const Options options =
      parse_command_line({"--role=agent", "--peer-port=0", "--peer-ip=127.0.0.1"})->options;
  CHECK(planned(options, {})->agent->p2p.peer_id != planned(options, {})->agent->p2p.peer_id);
}

TEST_CASE("the origin finds itself in its cluster list, or says why not") {
  Options options = parse_command_line({"--role=origin"})->options;
  options.config_file = "/o.yaml";
  const auto label = [&](const std::string& hosts) -> Result<std::string> {
    const HostFacts host{"10.1.1.1", "box"};
    Result<Plan> plan = planned(options, host, {{"/o.yaml", "cluster: {static: [" + hosts + "]}"}});
    if (!plan) return propagate(plan);
    return own_label(options, host, *plan, 15002, plan->origin->cluster.fixed);
  };
  CHECK(label("'box:15002', 'other:15002'") == std::string("box:15002"));
  CHECK(label("'10.1.1.1:15002'") == std::string("10.1.1.1:15002"));
  CHECK_THAT(label("'other:15002', 'box:1'").error().message,
             Contains("box:15002") && Contains("not in its own cluster"));
  options.blobserver_hostname = "alias";
  CHECK(label("'alias:15002'") == std::string("alias:15002"));
}

TEST_CASE("the proxy itself opens the listener that takes notifications") {
  Options options = herd();
  options.config_file = "/h.yaml";
  const auto plan = [&](const std::string& yaml) {
    return planned(options, {"10.1.1.1", "box"}, {{"/h.yaml", yaml}});
  };
  const Result<Plan> inside = plan(
      "proxy: {server: {listener: {net: unix, addr: /s}, prefetch_min_blob_size: 1k, prefetch_max_blob_size: "
      "0}}");
  REQUIRE(inside.has_value());
  CHECK(inside->proxy->server_listen == io::Address{"unix:/s", 0});
  CHECK(inside->edges.at(Role::proxy).inner.empty());
  CHECK(inside->proxy->prefetch.blob_size_min == 1 * KiB);
  CHECK(inside->proxy->prefetch.blob_size_max == 50 * GiB);
  CHECK_FALSE(plan("proxy: {}")->proxy->server_listen);
  CHECK_THAT(plan("proxy: {server: {listener: {net: tcp}}}").error().message,
             Contains("server.listener.addr is empty"));
}

TEST_CASE("roles of one process share one store") {
  Options options = herd();
  options.config_file = "/h.yaml";
  const auto plan = [&](const std::string& yaml) {
    return planned(options, {"10.1.1.1", "box"}, {{"/h.yaml", yaml}});
  };
  const Result<Plan> named = plan("origin: {castore: {cache_dir: /big/cache/}}");
  REQUIRE(named.has_value());
  CHECK(named->store.cache_dir == "/big/cache/");
  CHECK(named->store.download_dir == "/big/download");
  CHECK(named->store.upload_dir == "/big/upload");
  const auto clash = plan("origin: {castore: {cache_dir: /a}}\nproxy: {castore: {cache_dir: /b}}");
  REQUIRE_FALSE(clash.has_value());
  CHECK_THAT(clash.error().message,
             Contains("/h.yaml:1") && Contains("/h.yaml:2") && Contains("share one store"));
}

}  // namespace
}  // namespace krakend::daemon
