#include "daemon/config.h"

#include "daemon/config_file.h"
#include "daemon/plan.h"
#include "daemon/print_config.h"
#include "krakend/io/system.h"
#include "support.h"
#include "support/catch.h"

namespace krakend::daemon {
namespace {

using Catch::Matchers::Contains;
using Files = std::map<std::string, std::string>;

Options options_for(Role role) {
  Options options;
  options.roles = {role};
  options.config_file = "/c/main.yaml";
  return options;
}

Config loaded(const Options& options, const Files& files) {
  TextDisk disk(files);
  Result<Config> config = load_config(options, disk);
  INFO((config ? std::string() : config.error().message));
  REQUIRE(config.has_value());
  return std::move(*config);
}

std::string refused(Role role, const std::string& yaml) {
  TextDisk disk(Files{{"/c/main.yaml", yaml}});
  Result<Config> config = load_config(options_for(role), disk);
  REQUIRE_FALSE(config.has_value());
  CHECK(config.error().message.find('\n') == std::string::npos);
  return config.error().message;
}

OriginConfig origin(const std::string& yaml) {
  return loaded(options_for(Role::origin), {{"/c/main.yaml", yaml}}).origin->settings;
}

TEST_CASE("extends: root first, requested file last, names relative to the file") {
  TextDisk disk({{"/configs/c1", "extends: /etc/c2\na: 1"}, {"/etc/c2", "extends: c3"}, {"/etc/c3", "a: 3"}});
  const auto chain = load_config_chain(disk, "/configs/c1");
  REQUIRE(chain.has_value());
  std::vector<std::string> order;
  for (const ConfigDocument& document : *chain) order.push_back(document.path);
  CHECK(order == std::vector<std::string>{"/etc/c3", "/etc/c2", "/configs/c1"});
  CHECK(resolve_beside("/a/b/x.yaml", "../y.yaml") == "/a/y.yaml");
  CHECK(resolve_beside("x.yaml", "y.yaml") == "y.yaml");
}

TEST_CASE("extends: cycles, missing and broken files") {
  TextDisk disk({{"/a", "extends: b"},
                 {"/b", "extends: a"},
                 {"/self", "extends: self"},
                 {"/bad", "a: 1\nb: [1, 2\n"},
                 {"/lost", "extends: nowhere"}});
  const auto message = [&](const char* path) { return load_config_chain(disk, path).error().message; };
  CHECK_THAT(message("/a"), Contains("cyclic reference in configuration extends detected"));
  CHECK_THAT(message("/self"), Contains("cyclic reference"));
  CHECK_THAT(message("/lost"), Contains("/nowhere: no such configuration file"));
  CHECK_THAT(message("/bad"), Contains("/bad:3: not valid YAML"));
}

TEST_CASE("blocks merge, scalars and lists are replaced, maps merge at the first level") {
  const Files files{{"/c/base.yaml",
                     "scheduler: {conn_tti: 10s, dispatch: {pipeline_limit: 7}}\n"
                     "cluster: {static: ['a:1', 'b:1']}\n"
                     "metainfogen: {piece_lengths: {0: 1MB, 1GB: 8MB}}\n"},
                    {"/c/main.yaml",
                     "extends: base.yaml\n"
                     "scheduler: {dispatch: {origin_pipeline_limit: 9}}\n"
                     "cluster: {static: ['c:1']}\n"
                     "metainfogen: {piece_lengths: {1GB: 16MB}}\n"}};
  const Config config = loaded(options_for(Role::origin), files);
  const origin::OriginOptions& options = config.origin->settings.options;
  CHECK(options.scheduler.conn_tti == 10s);
  CHECK(options.scheduler.pipeline_limit == 7);
  CHECK(options.scheduler.origin_pipeline_limit == 9);
  CHECK(options.cluster == std::vector<std::string>{"c:1"});
  CHECK(options.piece_lengths == std::map<uint64_t, uint64_t>{{0, 1 * MiB}, {GiB, 16 * MiB}});
}

TEST_CASE("remotes merge by address, and a list of patterns is replaced") {
  const Options options = options_for(Role::build_index);
  const Config config = loaded(options, {{"/c/base.yaml", "remotes: {'a:1': [x/.*, y], 'b:1': [z], 'c:1': }"},
                                         {"/c/main.yaml", "extends: base.yaml\nremotes: {'b:1': [w]}"}});
  const build_index::Remotes expected{{"a:1", {"x/.*", "y"}}, {"b:1", {"w"}}, {"c:1", {}}};
  CHECK(config.build_index->settings.options.remotes == expected);
  CHECK_THAT(refused(Role::build_index, "remotes: [a]"), Contains("remotes"));
  CHECK_THAT(refused(Role::build_index, "remotes: {'a:1': x}"), Contains("main.yaml:1") && Contains("list"));
}

TEST_CASE("null resets what the parent set, block or value; zero means default") {
  const Files files{
      {"/c/base.yaml", "scheduler: {conn_tti: 10s, seeder_tti: 1m}\nhashring: {max_replica: 5}"},
      {"/c/main.yaml", "extends: base.yaml\nscheduler:\nhashring: {max_replica: ~}"}};
  const Config config = loaded(options_for(Role::origin), files);
  CHECK(config.origin->settings.options.scheduler.conn_tti == p2p::EngineOptions{}.conn_tti);
  CHECK(config.origin->settings.options.max_replica == 3);
  CHECK(origin("hashring: {max_replica: 0}").options.max_replica == 3);
}

TEST_CASE("what is on by default can be switched off") {
  size_t switches = 0;
  for (const Role role : {Role::origin, Role::tracker, Role::build_index, Role::proxy, Role::agent}) {
    const Config config = default_config(options_for(role));
    for (const Component* component : config.components()) {
      for (const ConfigKey& key : component->table.keys()) {
        if (key.use != KeyUse::bound || key.default_value != "true") continue;
        INFO(key.path);
        CHECK(key.value->read(YAML::Load("false")));
        CHECK(key.value->text() == "false");
        ++switches;
      }
    }
  }
  CHECK(switches > 0);
}

TEST_CASE("anchors and merge keys; own keys win") {
  const OriginConfig config = origin(
      "verbose: &x {conn_tti: 7s, seeder_tti: 9s}\n"
      "scheduler:\n  conn_tti: 1s\n  <<: *x\n");
  CHECK(config.options.scheduler.conn_tti == 1s);
  CHECK(config.options.scheduler.seeder_tti == 9s);
}

TEST_CASE("value formats") {
  CHECK(origin("scheduler: {conn_tti: 1h30m}").options.scheduler.conn_tti == 90min);
  CHECK(origin("scheduler: {conn_tti: 1500000000}").options.scheduler.conn_tti == 1500ms);
  CHECK(origin("hashring: {max_replica: 0x10}").options.max_replica == 16);
  CHECK(origin("hashring: {max_replica: 010}").options.max_replica == 8);
  CHECK(origin("hashring: {max_replica: 1_0}").options.max_replica == 10);
  CHECK(origin("hashring: {max_replica: 3.9}").options.max_replica == 3);
  CHECK_THAT(refused(Role::origin, "hashring:\n  max_replica: -1"),
             Contains("/c/main.yaml:2: hashring.max_replica"));
  CHECK_THAT(refused(Role::origin, "scheduler: {conn_tti: 5 parsecs}"), Contains("5 parsecs"));
  CHECK_THAT(refused(Role::origin, "metainfogen:\n  piece_lengths:\n    0: 4Mb"),
             Contains("/c/main.yaml:3:"));
  for (const char* yes : {"y", "Yes", "ON", "true"}) {
    const std::string tls = fmt::format("tls: {{server: {{disabled: {0}}}, client: {{disabled: {0}}}}}", yes);
    CHECK(origin(tls).tls.server.disabled);
  }
  CHECK_THAT(refused(Role::origin, "tls: {server: {disabled: 'yes'}}"), Contains("true or false"));
}

TEST_CASE("unknown keys name file, line and the nearest known key") {
  CHECK_THAT(
      refused(Role::agent, "scheduler:\n  conn_tt: 3s"),
      Contains("/c/main.yaml:2: unknown key \"scheduler.conn_tt\"; did you mean \"scheduler.conn_tti\"?"));
  CHECK_THAT(refused(Role::origin, "cluster: {hosts: {static: ['a:1']}}"),
             Contains("did you mean \"cluster.static\""));
  CHECK_THAT(refused(Role::origin, "store: {cache_dir: /x}"), Contains("did you mean \"castore.cache_dir\""));
  CHECK_THAT(refused(Role::agent, "bandwidth: {enabled: true}"), Contains("bandwidth"));
  CHECK_THAT(refused(Role::agent, "zzzzzzzzzzzzz: 1"), Contains("unknown key \"zzzzzzzzzzzzz\""));
  CHECK_THAT(refused(Role::agent, "scheduler: 5"), Contains("scheduler must be a mapping"));
  CHECK_THAT(refused(Role::agent, "- 1"), Contains("must be a mapping"));
}

TEST_CASE("backends") {
  const OriginConfig config = origin(
      "backends:\n- namespace: ^a/.*\n  backend: {file: {root: /b, name_path: identity}}\n  must_ready: "
      "true\n"
      "- backend: {file: {root: /d}}\n");
  const std::vector<BackendConfig> wanted{{"^a/.*", "/b", "identity", true},
                                          {"", "/d", "sharded_docker_blob", false}};
  CHECK(config.backends == wanted);
  CHECK_THAT(refused(Role::origin, "backends:\n- namespace: .*\n  backend:\n    testfs: {addr: 'x:1'}"),
             Contains("/c/main.yaml:4: backends: backend \"testfs\" is not supported yet"));
  CHECK_THAT(refused(Role::origin, "backends:\n- namespace: .*"), Contains("no backend"));
  CHECK_THAT(refused(Role::origin, "backends:\n- backend: {}"), Contains("exactly one"));
  CHECK_THAT(refused(Role::origin, "backends:\n- backend: {file: {rot: /x}}"),
             Contains("did you mean \"root\""));
  CHECK_THAT(refused(Role::origin, "backends:\n- backend: {file: {}}"), Contains("needs a root"));
}

TEST_CASE("tls") {
  SECTION("no block: plain") {
    CHECK(origin("").tls.server.disabled);
    CHECK(origin("").tls.client.disabled);
  }
  SECTION("a block: each side is on unless it says otherwise") {
    const TlsConfig tls = origin(
                              "tls: {name: kraken, cas: [{path: /ca}, {path: /more}], "
                              "server: {cert: {path: /c}, key: {path: /k}, passphrase: {path: /p}}}")
                              .tls;
    CHECK(tls.name == "kraken");
    CHECK_FALSE(tls.server.disabled);
    CHECK_FALSE(tls.client.disabled);
    CHECK(tls.files(tls.server) == io::TlsFiles{"/c", "/k", "/p", {"/ca", "/more"}});
    CHECK(tls.client.cert.empty());
  }
  SECTION("one side alone") {
    const TlsConfig tls = origin("tls: {server: {disabled: true}}").tls;
    CHECK(tls.server.disabled);
    CHECK_FALSE(tls.client.disabled);
  }
  SECTION("what a server needs is named") {
    CHECK_THAT(
        refused(Role::agent, "tls: {}"),
        Contains("agent: tls.server.cert.path is missing: name it, or set tls.server.disabled to true"));
    CHECK_THAT(refused(Role::agent, "tls: {server: {cert: {path: /x}}}"), Contains("tls.server.key.path"));
    CHECK_THAT(refused(Role::agent, "tls: {server: {cert: {path: /x}, key: {path: /y}}}"),
               Contains("tls.cas is missing"));
    CHECK_THAT(refused(Role::agent, "tls: {cas: [/ca]}"), Contains("an entry must be a mapping"));
  }
}

TEST_CASE("what cannot be honoured is refused, unless it is switched off") {
  CHECK_THAT(refused(Role::agent, "tracker: {hosts: {dns: 'x:1', static: ['y:1']}}"),
             Contains("tracker.hosts.static and tracker.hosts.dns are both given"));
  CHECK_THAT(refused(Role::tracker, "peerstore: {redis: {enabled: true}}"), Contains("not supported yet"));
  const Config config =
      loaded(options_for(Role::tracker), {{"/c/main.yaml", "peerstore: {redis: {enabled: false}}"}});
  CHECK(config.tracker->settings.options.completeness);
}

TEST_CASE("a secrets file is applied last and masked in what is printed") {
  Options options = options_for(Role::origin);
  options.secrets_file = "/c/secret.yaml";
  options.peer_ip = "10.0.0.1";
  const Config config =
      loaded(options, {{"/c/main.yaml", "castore: {cache_dir: /plain}\nscheduler: {conn_tti: 3s}"},
                       {"/c/secret.yaml", "castore: {cache_dir: /hidden}\nauth: {s3: {u: p}}"}});
  CHECK(config.origin->settings.store.cache_dir == "/hidden");
  const std::unique_ptr<io::Random> random = io::make_system_random();
  const Result<Plan> plan = make_plan(options, config, {}, *random);
  REQUIRE(plan.has_value());
  const std::string text = print_config(options, config, *plan);
  CHECK_THAT(text, !Contains("hidden"));
  CHECK_THAT(text, Contains("/c/main.yaml:2"));
  CHECK_THAT(text, Contains("accepted, not used: auth"));
}

TEST_CASE("keys without effect are remembered once") {
  const Config config = loaded(
      options_for(Role::proxy),
      {{"/c/base.yaml", "nginx: {name: x}"}, {"/c/main.yaml", "extends: base.yaml\nnginx: {name: y}"}});
  REQUIRE(config.proxy->table.unused().size() == 1);
  CHECK(config.proxy->table.unused().front().path == "nginx.name");
  CHECK(config.proxy->table.unused().front().where == "/c/main.yaml:2");
}

TEST_CASE("several roles: one block each, which may extend that role's own file") {
  Options options;
  options.roles = {Role::origin, Role::tracker};
  options.config_file = "/c/main.yaml";
  const Files files{{"/c/origin.yaml", "hashring: {max_replica: 2}\nscheduler: {conn_tti: 4s}"},
                    {"/c/main.yaml",
                     "origin:\n  extends: origin.yaml\n  hashring: {max_replica: 4}\n"
                     "tracker:\n  trackerserver: {announce_limit: 9}\nagent: {}\n"}};
  const Config config = loaded(options, files);
  CHECK(config.origin->settings.options.max_replica == 4);
  CHECK(config.origin->settings.options.scheduler.conn_tti == 4s);
  CHECK(config.tracker->settings.options.announce_limit == 9);
  CHECK_FALSE(config.agent);

  TextDisk disk(Files{{"/c/main.yaml", "hashring: {max_replica: 4}"}});
  CHECK_THAT(load_config(options, disk).error().message, Contains("one block per role"));
}

TEST_CASE("hosts: flag, then YAML, then the role in this process, then a herd on this host") {
  Options options = options_for(Role::agent);
  const Files files{{"/c/main.yaml", "tracker: {hosts: {static: ['t:1', 't:2']}}"}};
  CHECK(loaded(options, files).agent->settings.options.trackers == std::vector<std::string>{"t:1", "t:2"});
  CHECK(loaded(options, files).agent->settings.options.build_indexes ==
        std::vector<std::string>{"127.0.0.1:15004"});
  options.trackers = {"f:3"};
  const Config flagged = loaded(options, files);
  CHECK(flagged.agent->settings.options.trackers == std::vector<std::string>{"f:3"});
  CHECK(flagged.agent->table.where("tracker.hosts.static") == "--tracker");
  Options herd;
  herd.roles = {Role::origin, Role::tracker};
  CHECK(loaded(herd, {}).tracker->settings.options.origins.empty());
}

TEST_CASE("the same file of defaults comes back from --print-config") {
  for (const Role role : {Role::origin, Role::build_index, Role::tracker, Role::proxy, Role::agent}) {
    Options options;
    options.roles = {role};
    options.peer_ip = "10.0.0.1";
    const Config config = loaded(options, {});
    const std::unique_ptr<io::Random> random = io::make_system_random();
    const Result<Plan> plan = make_plan(options, config, {}, *random);
    REQUIRE(plan.has_value());
    const std::string text = print_config(options, config, *plan);
    INFO(text);
    options.config_file = "/c/main.yaml";
    const Config reread = loaded(options, {{"/c/main.yaml", text}});
    const std::vector<ConfigKey>& before = config.components().front()->table.keys();
    const std::vector<ConfigKey>& after = reread.components().front()->table.keys();
    for (size_t i = 0; i < before.size(); ++i) {
      if (before[i].use != KeyUse::bound) continue;
      CHECK(before[i].value->text() == after[i].value->text());
      CHECK_FALSE(before[i].meaning.empty());
    }
  }
}

}  // namespace
}  // namespace krakend::daemon
