#include "krakend/io/system.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>

#include "unit/io/support.h"

namespace krakend::test {
namespace {

TEST_CASE("signals come to the loop until the watch is gone") {
  SystemWorld<0> world;
  std::vector<int> seen;
  auto watch = std::make_unique<io::SignalWatch>(world.loop, [&](int number) { seen.push_back(number); });
  const auto until = [&](size_t count) -> Task<> {
    while (seen.size() < count) co_await world.clock().sleep(1ms);
  };
  ::raise(SIGHUP);
  world.run(until(1));
  ::raise(SIGTERM);
  world.run(until(2));
  CHECK(seen == std::vector<int>{SIGHUP, SIGTERM});
  ::raise(SIGPIPE);  // ignored: the process lives
  ::raise(SIGINT);
  watch.reset();
  world.run(world.clock().sleep(5ms));
  CHECK(seen.size() == 2);
}

TEST_CASE("a watch may be ended by its own callback") {
  SystemWorld<0> world;
  std::unique_ptr<io::SignalWatch> watch;
  std::string text = "a capture that would be destroyed with the callback";
  bool called = false;
  watch = std::make_unique<io::SignalWatch>(world.loop, [&, text](int) {
    watch.reset();
    called = text.size() > 10;
  });
  ::raise(SIGHUP);
  const auto until = [&]() -> Task<> {
    while (!called) co_await world.clock().sleep(1ms);
  };
  world.run(until());
  CHECK(called);
}

/// What a service manager listens on.
class NotifySocket {
 public:
  explicit NotifySocket(const std::string& name) : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    name.copy(address.sun_path, sizeof address.sun_path - 1);
    if (name[0] == '@') address.sun_path[0] = '\0';
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
    REQUIRE(::bind(fd_, reinterpret_cast<const sockaddr*>(&address), length) == 0);
    ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
  }
  ~NotifySocket() {
    ::close(fd_);
    ::unsetenv("NOTIFY_SOCKET");
  }
  std::string received() {
    std::array<char, 100> buffer{};
    const auto got = ::recv(fd_, buffer.data(), buffer.size(), 0);
    return got < 0 ? "" : std::string(buffer.data(), static_cast<size_t>(got));
  }

 private:
  int fd_;
};

TEST_CASE("the service manager is told, by path and by abstract name") {
  const TempDir temp;
  const auto name = GENERATE(std::string("path"), std::string("@krakend-test-" + std::to_string(::getpid())));
  NotifySocket socket(name == "path" ? temp / "notify" : name);
  io::notify_service_manager("READY=1");
  CHECK(socket.received() == "READY=1");
}

TEST_CASE("without a service manager nothing happens") {
  ::unsetenv("NOTIFY_SOCKET");
  io::notify_service_manager("READY=1");
  ::setenv("NOTIFY_SOCKET", "/nowhere/at/all", 1);
  io::notify_service_manager("READY=1");
  ::unsetenv("NOTIFY_SOCKET");
}

TEST_CASE("the host has a name") {
  CHECK_FALSE(io::host_name().empty());
  const auto address = io::local_ipv4();
  if (address) CHECK(address->find("127.") != 0);
}

}  // namespace
}  // namespace krakend::test
