#include "daemon/config.h"
#include "daemon/plan.h"
#include "krakend/io/system.h"
#include "support/catch.h"

namespace krakend::daemon {
namespace {

/// Loads it, and says that nothing in it is idle.
void check_file(io::Disk& disk, const std::string& role, const std::string& path) {
  const std::unique_ptr<io::Random> random = io::make_system_random();
  const Result<Command> command = parse_command_line({"--role=" + role, "--config=" + path});
  INFO(path);
  REQUIRE(command.has_value());
  const Result<Config> config = load_config(command->options, disk);
  INFO((config ? std::string() : config.error().message));
  REQUIRE(config.has_value());
  for (const Component* component : config->components()) CHECK(component->table.unused().empty());
  const Result<Plan> plan = make_plan(command->options, *config, {"10.0.0.1", "origin"}, *random);
  INFO((plan ? std::string() : plan.error().message));
  CHECK(plan.has_value());
}

TEST_CASE("every file in configs/ loads for its role without a key that has no effect") {
  const std::unique_ptr<io::Disk> disk = io::make_posix_disk();
  for (const std::string folder : {"configs/", "configs/devcluster/"}) {
    const Result<std::vector<std::string>> names = disk->list(KRAKEND_SOURCE_DIR "/" + folder);
    REQUIRE(names.has_value());
    size_t files = 0;
    for (const std::string& name : *names) {
      if (!name.ends_with(".yaml")) continue;
      check_file(*disk, name.substr(0, name.rfind('.')), KRAKEND_SOURCE_DIR "/" + folder + name);
      ++files;
    }
    CHECK(files == (folder == "configs/" ? 6 : 2));
  }
}

}  // namespace
}  // namespace krakend::daemon
