#include "daemon/config_command.h"

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "daemon/config_reference.h"
#include "support.h"
#include "support/catch.h"

namespace krakend::daemon {
namespace {

using Catch::Matchers::Contains;
using Files = std::map<std::string, std::string>;

ConfigVerdict check(const Files& files, std::set<Role> roles = {}, std::string secrets = {}) {
  ConfigCommand command;
  command.roles = std::move(roles);
  command.secrets_file = std::move(secrets);
  TextDisk disk(files);
  return check_config_file(command, "/c.yaml", disk);
}

TEST_CASE("config: its command line") {
  const auto checks = parse_config_command({"check", "--role=agent", "a.yaml", "b.yaml"});
  REQUIRE(checks);
  CHECK(checks->action == ConfigCommand::Action::check);
  CHECK(checks->roles == std::set<Role>{Role::agent});
  CHECK(checks->files == std::vector<std::string>{"a.yaml", "b.yaml"});
  CHECK(parse_config_command({"schema", "--role", "herd"})->roles.size() == 4);
  CHECK(parse_config_command({"docs"})->action == ConfigCommand::Action::docs);
  CHECK_THAT(parse_config_command({"--help"})->text, Contains("schema"));
  CHECK_THAT(parse_config_command({"check"}).error().message, Contains("FILE"));
  CHECK_THAT(parse_config_command({}).error().message, Contains("subcommand"));
  CHECK_THAT(parse_config_command({"schema", "--role=orign"}).error().message,
             Contains("did you mean origin"));
}

TEST_CASE("config check: everything wrong is said at once, with its place") {
  const ConfigVerdict verdict = check({{"/c.yaml",
                                        "scheduler:\n  conn_tt: 3s\n  seeder_tti: soon\ncastor: {}\n"
                                        "hashring: {max_replica: 3}\n"}},
                                      {Role::origin});
  CHECK_FALSE(verdict.good);
  CHECK_THAT(verdict.text, Contains("/c.yaml:2: unknown key \"scheduler.conn_tt\"") &&
                               Contains("/c.yaml:3: scheduler.seeder_tti: expected a duration") &&
                               Contains("/c.yaml:4: unknown key \"castor\"") &&
                               Contains("3 to be put right"));
  CHECK(check({{"/c.yaml", "hashring: {max_replica: 3}"}}, {Role::origin}).good);
  CHECK_THAT(check({}, {Role::origin}).text, Contains("no such configuration file"));
}

TEST_CASE("config check: what the process would refuse later is wrong too") {
  const Files files{{"/c.yaml", "metrics: {backend: statsd, statsd: {host_port: nowhere}}"}};
  CHECK_THAT(check(files, {Role::tracker}).text, Contains("metrics.statsd.host_port"));
  const Files secret{{"/c.yaml", ""}, {"/s.yaml", "hashring: {max_replica: x}"}};
  CHECK_THAT(check(secret, {Role::origin}, "/s.yaml").text, Contains("/s.yaml:1"));
}

TEST_CASE("config check: the role is found from the file") {
  CHECK_THAT(check({{"/c.yaml", "hashring: {max_replica: 3}"}}).text, Contains("good for origin\n"));
  CHECK_THAT(check({{"/c.yaml", "tracker: {hosts: {static: ['a:1']}}"}}).text, Contains("good for agent\n"));
  CHECK_THAT(check({{"/c.yaml", "origin: {hashring: {max_replica: 3}}\ntracker: {}"}}).text,
             Contains("good for origin, build-index, tracker, proxy, agent\n"));
  const ConfigVerdict nearest = check({{"/c.yaml", "peerhandoutpolicy: {priority: default}\nnonsense: 1"}});
  CHECK_THAT(nearest.text, Contains("not good for tracker"));
}

TEST_CASE("unknown keys may be a warning") {
  const std::string text = "unknown_keys: warn\nscheduler: {conn_tt: 3s}\nhashring: {max_replica: 5}";
  Options options;
  options.roles = {Role::origin};
  options.config_file = "/c.yaml";
  TextDisk disk(Files{{"/c.yaml", text}});
  const Result<Config> config = load_config(options, disk);
  REQUIRE(config);
  CHECK(config->origin->settings.options.max_replica == 5);
  REQUIRE(config->origin->table.problems().size() == 1);
  CHECK_THAT(config->origin->table.problems().front().error.message, Contains("scheduler.conn_tt"));
  // A value that cannot be read stays an error.
  TextDisk wrong(Files{{"/c.yaml", text + "\nblobrefresh: {size_limit: huge}"}});
  CHECK_THAT(load_config(options, wrong).error().message, Contains("blobrefresh.size_limit"));
}

TEST_CASE("the first of several errors tells how many there are") {
  Options options;
  options.roles = {Role::origin};
  options.config_file = "/c.yaml";
  TextDisk disk(Files{{"/c.yaml", "a1: 1\nb1: 1\nc1: 1"}});
  CHECK_THAT(load_config(options, disk).error().message,
             Contains("/c.yaml:1") && Contains("(2 more: krakend config check lists them)"));
}

TEST_CASE("docs/configuration.md is what the tables say") {
  const std::ifstream file(KRAKEND_SOURCE_DIR "/docs/configuration.md");
  std::ostringstream text;
  text << file.rdbuf();
  INFO("krakend config docs > docs/configuration.md");
  CHECK(text.str() == config_page());
}

TEST_CASE("every key of every table says what it means, and why it has no effect") {
  Options options;
  options.roles = {Role::origin, Role::build_index, Role::tracker, Role::proxy, Role::agent};
  const Config config = default_config(options);
  for (const Component* component : config.components()) {
    for (const ConfigKey& key : component->table.keys()) {
      INFO(to_string(component->role) << " " << key.path);
      CHECK_FALSE(key.meaning.empty());
      CHECK((key.use != KeyUse::bound || !key.type.empty()));
      CHECK((key.use == KeyUse::bound || !key.live));
    }
  }
}

TEST_CASE("the JSON schema has every key of the table and no other") {
  Options options;
  options.roles = {Role::agent};
  const nlohmann::json schema = nlohmann::json::parse(config_schema(options));
  CHECK(schema["additionalProperties"] == false);
  const nlohmann::json& scheduler = schema["properties"]["scheduler"]["properties"];
  CHECK(scheduler["conn_tti"]["type"] == nlohmann::json{"null", "number", "string"});
  CHECK(scheduler["conn"]["properties"]["bandwidth"]["properties"].contains("egress_bits_per_sec"));
  const Config config = default_config(options);
  for (const ConfigKey& key : config.agent->table.keys()) {
    std::string pointer = "/properties/" + key.path;
    for (size_t dot = pointer.find('.'); dot != std::string::npos; dot = pointer.find('.', dot))
      pointer.replace(dot, 1, "/properties/");
    INFO(key.path);
    REQUIRE(schema.contains(nlohmann::json::json_pointer(pointer)));
    // A kind of value that the schema does not know would let everything pass.
    const nlohmann::json& row = schema.at(nlohmann::json::json_pointer(pointer));
    CHECK((key.use != KeyUse::bound || row.contains("type")));
  }
  options.roles = {Role::origin, Role::tracker};
  const nlohmann::json several = nlohmann::json::parse(config_schema(options));
  CHECK(several["properties"].size() == 3);  // and "extends"
}

}  // namespace
}  // namespace krakend::daemon
