#include "daemon/options.h"

#include "daemon/flags.h"
#include "support/catch.h"

namespace krakend::daemon {
namespace {

Options parsed(const std::vector<std::string>& args) {
  Result<Command> command = parse_command_line(args);
  INFO((command ? std::string() : command.error().message));
  REQUIRE(command.has_value());
  REQUIRE_FALSE(command->text.has_value());
  return command->options;
}

std::string refused(const std::vector<std::string>& args) {
  Result<Command> command = parse_command_line(args);
  REQUIRE_FALSE(command.has_value());
  CHECK(command.error().message.find('\n') == std::string::npos);
  return command.error().message;
}

using Catch::Matchers::Contains;

TEST_CASE("the reference's flag spellings") {
  const std::vector<std::vector<std::string>> spellings{
      {"--role=agent", "--peer-port=7001", "--zone=z1", "--config="},
      {"-role=agent", "-peer-port=7001", "-zone=z1"},
      {"-role", "agent", "-peer-port", "7001", "-zone", "z1", "-config", ""},
      {"--role", "agent", "--peer-port", "7001", "--zone", "z1", "--secrets", ""}};
  for (const auto& args : spellings) {
    const Options options = parsed(args);
    CHECK(options.roles == std::set<Role>{Role::agent});
    CHECK(options.peer_port == 7001);
    CHECK(options.agent_peer_port == 7001);
    CHECK(options.zone == "z1");
    CHECK_FALSE(options.config_file);
    CHECK_FALSE(options.secrets_file);
  }
}

TEST_CASE("a valued flag takes the next argument whatever it looks like") {
  CHECK(parsed({"--role=agent", "-zone", "-weird"}).zone == "-weird");
  CHECK(parsed({"--role=agent", "--zone=a=b"}).zone == "a=b");
}

TEST_CASE("switches") {
  CHECK(parsed({"--role=agent", "--print-config"}).print_config);
  CHECK(parsed({"--role=agent", "-print-config=true"}).print_config);
  CHECK_FALSE(parsed({"--role=agent", "--print-config=false"}).print_config);
  CHECK(parsed({"--role=agent", "-log-json"}).log_json == true);
  CHECK_THAT(refused({"--role=agent", "--log-json=maybe"}), Contains("--log-json") && Contains("maybe"));
}

TEST_CASE("repeated flags") {
  const Options options = parsed(
      {"-role=proxy", "-port=1", "--port", "2", "--origin=a:1", "--origin=b:2", "-cluster=x", "-cluster=y"});
  CHECK(options.proxy_ports == std::vector<uint16_t>{1, 2});
  CHECK(options.origins == std::vector<std::string>{"a:1", "b:2"});
  CHECK(options.cluster == "y");
}

TEST_CASE("roles") {
  CHECK(parsed({"--role=origin,tracker"}).roles == std::set<Role>{Role::origin, Role::tracker});
  const std::set<Role> four{Role::origin, Role::build_index, Role::tracker, Role::proxy};
  CHECK(parsed({"--role=herd"}).roles == four);
  CHECK(parsed({"--role=herd"}).herd);
  CHECK(parsed({"--role=origin,tracker,build-index,proxy"}).herd);
  CHECK_FALSE(parsed({"--role=origin,tracker"}).herd);
  CHECK(parsed({"--role=herd", "--agent-registry-port=0"}).has(Role::agent));
  CHECK(parsed({"--role=herd,agent"}).has(Role::agent));
}

TEST_CASE("ports mean what the roles at hand make of them") {
  CHECK(parsed({"-role=tracker", "-port=9"}).tracker_port == 9);
  CHECK(parsed({"-role=build-index", "-port=9"}).build_index_port == 9);
  CHECK(parsed({"-role=origin,tracker", "-port=9"}).tracker_port == 9);
  CHECK(parsed({"-role=tracker", "-port=0"}).tracker_port == 0);
  CHECK_THAT(refused({"-role=herd", "-port=9"}),
             Contains("--port is ambiguous") && Contains("--tracker-port"));
  const Options herd = parsed({"--role=herd", "--peer-port=5", "--agent-peer-port=6"});
  CHECK(herd.peer_port == 5);
  CHECK(herd.agent_peer_port == 6);
}

TEST_CASE("wrong usage is one line that names the thing") {
  CHECK_THAT(refused({}), Contains("--role is missing"));
  CHECK_THAT(refused({"--role=agnet"}), Contains("unknown role \"agnet\"") && Contains("did you mean agent"));
  CHECK_THAT(refused({"--role="}), Contains("unknown role"));
  CHECK_THAT(refused({"--role=agent", "--peer-prot=1"}), Contains("--peer-prot") && Contains("--peer-port"));
  CHECK_THAT(refused({"--role=agent", "-x"}), Contains("unknown flag --x"));
  CHECK_THAT(refused({"--role=agent", "extra"}), Contains("\"extra\""));
  CHECK_THAT(refused({"--role=agent", "--peer-port"}), Contains("--peer-port needs a value"));
  CHECK_THAT(refused({"--role=agent", "--peer-port=70000"}), Contains("--peer-port") && Contains("70000"));
  CHECK_THAT(refused({"--role=agent", "--peer-port=-1"}), Contains("-1"));
  CHECK_THAT(refused({"--role=agent", "--tracker=nohost"}), Contains("--tracker") && Contains("HOST:PORT"));
  CHECK_THAT(refused({"--role=tracker", "--blobserver-port=1"}),
             Contains("--blobserver-port is for role origin"));
  CHECK_THAT(refused({"--role=agent", "--log-level=loud"}), Contains("--log-level") && Contains("loud"));
}

TEST_CASE("every flag of the reference is there, for the roles that have it") {
  struct Row {
    const char* role;
    std::vector<std::string> flags;
  };
  const Row rows[] = {{"agent", {"zone", "peer-ip", "peer-port", "agent-server-port", "agent-registry-port"}},
                      {"origin", {"zone", "peer-ip", "peer-port", "blobserver-port", "blobserver-hostname"}},
                      {"tracker", {"port"}},
                      {"build-index", {"port"}},
                      {"proxy", {"port"}}};
  for (const Row& row : rows) {
    std::vector<std::string> args{"-role",      row.role,     "-config=c",
                                  "-secrets=s", "-cluster=c", "-mutex-profile-fraction=1"};
    for (const std::string& flag : row.flags) args.push_back("-" + flag + "=1");
    CHECK(parsed(args).config_file == "c");
  }
}

TEST_CASE("help lists every flag, and version tells one") {
  const Result<Command> help = parse_command_line({"--help"});
  REQUIRE(help.has_value());
  for (const Flag& flag : make_flag_table()) CHECK_THAT(*help->text, Contains("--" + flag.name));
  CHECK(parse_command_line({"-h"})->text.has_value());
  CHECK_THAT(*parse_command_line({"-version"})->text, Catch::Matchers::StartsWith("krakend "));
}

}  // namespace
}  // namespace krakend::daemon
