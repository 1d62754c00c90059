#include "daemon/config.h"
#include "daemon/plan.h"
#include "krakend/io/system.h"
#include "support/catch.h"

namespace krakend::daemon {
namespace {

TEST_CASE("every file in configs/ loads for its role without a key that has no effect") {
  const std::unique_ptr<io::Disk> disk = io::make_posix_disk();
  const std::unique_ptr<io::Random> random = io::make_system_random();
  const std::string folder = KRAKEND_SOURCE_DIR "/configs/";
  const Result<std::vector<std::string>> names = disk->list(folder);
  REQUIRE(names.has_value());
  CHECK(names->size() == 6);
  for (const std::string& name : *names) {
    const std::string role = name.substr(0, name.rfind('.'));
    const Result<Command> command = parse_command_line({"--role=" + role, "--config=" + folder + name});
    INFO(name);
    REQUIRE(command.has_value());
    const Result<Config> config = load_config(command->options, *disk);
    INFO((config ? std::string() : config.error().message));
    REQUIRE(config.has_value());
    for (const Component* component : config->components()) CHECK(component->table.unused().empty());
    const Result<Plan> plan = make_plan(command->options, *config, {"10.0.0.1", "origin"}, *random);
    INFO((plan ? std::string() : plan.error().message));
    CHECK(plan.has_value());
  }
}

}  // namespace
}  // namespace krakend::daemon
