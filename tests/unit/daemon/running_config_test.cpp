#include "daemon/running_config.h"

#include <nlohmann/json.hpp>

#include "support.h"
#include "support/catch.h"

namespace krakend::daemon {
namespace {

Config loaded(const std::string& text) {
  Options options;
  options.roles = {Role::agent};
  options.config_file = "/c.yaml";
  TextDisk disk(std::map<std::string, std::string>{{"/c.yaml", text}});
  Result<Config> config = load_config(options, disk);
  INFO((config ? std::string() : config.error().message));
  REQUIRE(config);
  return std::move(*config);
}

std::vector<std::string> paths(const std::vector<RunningConfig::Key>& keys) {
  std::vector<std::string> all;
  for (const auto& [role, path] : keys) all.push_back(path);
  return all;
}
using Paths = std::vector<std::string>;

TEST_CASE("what is live changes once, what needs a restart is told until there was one") {
  RunningConfig running(loaded("scheduler: {conn_tti: 3s}"));
  const Config wanted = loaded("scheduler: {conn_tti: 4s}\nstore: {cache_dir: /elsewhere}");
  const auto first = running.adopt(wanted);
  CHECK(paths(first.live) == Paths{"scheduler.conn_tti"});
  CHECK(paths(first.needs_restart) == Paths{"store.cache_dir"});
  CHECK(first.touches(Role::agent));
  CHECK_FALSE(first.touches(Role::origin));
  const auto second = running.adopt(wanted);
  CHECK(second.live.empty());
  CHECK(paths(second.needs_restart) == Paths{"store.cache_dir"});
  CHECK(running.adopt(loaded("scheduler: {conn_tti: 4s}")).empty());
}

TEST_CASE("hosts change live, from a list to a name too") {
  RunningConfig running(loaded("tracker: {hosts: {static: ['a:1']}}"));
  CHECK(paths(running.adopt(loaded("tracker: {hosts: {static: ['b:1']}}")).live) ==
        Paths{"tracker.hosts.static"});
  const auto to_name = running.adopt(loaded("tracker: {hosts: {dns: 'a:1'}}"));
  CHECK(paths(to_name.live) == Paths{"tracker.hosts.static", "tracker.hosts.dns"});
  CHECK(to_name.needs_restart.empty());
}

TEST_CASE("the answer names roles and keys, and no values") {
  RunningConfig running(loaded(""));
  const auto changes = running.adopt(loaded("zap: {level: debug}\nstore: {cache_dir: /secret}"));
  const auto json = nlohmann::json::parse(changes.json());
  CHECK(json["changed"][0]["key"] == "zap.level");
  CHECK(json["needs_restart"][0]["role"] == "agent");
  CHECK(changes.json().find("secret") == std::string::npos);
  CHECK(RunningConfig::Changes::text(changes.live) == "agent zap.level");
  CHECK(RunningConfig::Changes::text({}) == "nothing");
}

}  // namespace
}  // namespace krakend::daemon
