#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>

#include "io/socket.h"
#include "krakend/io/workers.h"
#include "support/read_exact.h"
#include "unit/io/net_contract.h"
#include "unit/io/net_end_contract.h"

namespace krakend::test {
namespace {

struct TcpWorld : SystemWorld<2> {
  io::Workers watcher{1};
};
/// Everything on the loop thread.
struct SingleThreadWorld : SystemWorld<0> {};

TEST_CASE("tcp: streams") {
  stream_contract<TcpWorld>();
}
TEST_CASE("tcp: readers") {
  reader_contract<TcpWorld>();
}
TEST_CASE("tcp: readers of bunches") {
  bunch_contract<TcpWorld>();
}
TEST_CASE("tcp: what goes at once") {
  immediate_contract<TcpWorld>();
}
TEST_CASE("tcp: receive") {
  receive_contract<TcpWorld>();
}
TEST_CASE("tcp: transfers") {
  transfer_contract<TcpWorld>();
}
TEST_CASE("tcp: transfers on the loop thread alone") {
  transfer_contract<SingleThreadWorld>();
}
TEST_CASE("tcp: broken transfers") {
  broken_transfer_contract<TcpWorld>();
}
TEST_CASE("tcp: trickling senders") {
  trickle_contract<TcpWorld>();
}
TEST_CASE("tcp: many streams on two threads") {
  crowd_contract<TcpWorld>();
}
TEST_CASE("tcp: shutdown and cancellation") {
  shutdown_contract<TcpWorld>();
}
TEST_CASE("tcp: a step of the pool keeps its descriptor") {
  held_step_contract<TcpWorld>();
}
TEST_CASE("tcp: listener") {
  listener_contract<TcpWorld>();
}

TEST_CASE("end of tcp: listener") {
  listener_end_contract<TcpWorld>();
}
TEST_CASE("tcp: connect") {
  connect_contract<TcpWorld>();
}

struct Folder {
  Folder() {
    char name[] = "/tmp/krakend-net-XXXXXX";
    REQUIRE(::mkdtemp(name) != nullptr);
    path = name;
  }
  ~Folder() { std::filesystem::remove_all(path); }
  std::filesystem::path path;
};

int connect_unix(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  REQUIRE(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  return fd;
}

TEST_CASE("unix socket: accepts, and its file goes with the listener") {
  TcpWorld world;
  const Folder folder;
  const std::string path = folder.path / "s";
  auto listener = take(world.net().listen({"unix:" + path, 0}));
  CHECK(listener->local().str() == "unix:" + path);
  const io::Descriptor client(connect_unix(path));
  const auto body = [&]() -> Task<> {
    auto accepted = take(co_await listener->accept());
    CHECK(accepted->peer().str() == "unix:");
    REQUIRE(::write(client.get(), "hello", 5) == 5);
    std::array<std::byte, 5> got{};
    const auto read = co_await test::read_exact(*accepted, got);
    CHECK(read);
    CHECK(as_text(got) == "hello");
  };
  world.run(body());
  listener->close();
  CHECK_FALSE(std::filesystem::exists(path));
}

TEST_CASE("unix socket: what a killed process left is replaced, and nothing else") {
  TcpWorld world;
  const Folder folder;
  const std::string path = folder.path / "s";
  auto first = take(world.net().listen({"unix:" + path, 0}));
  const auto in_use = world.net().listen({"unix:" + path, 0});
  REQUIRE_FALSE(in_use);
  CHECK(in_use.error().message.find("in use by another process") != std::string::npos);
  std::filesystem::rename(path, path + ".kept");  // closing the listener removes its name only
  first->close();
  std::filesystem::rename(path + ".kept", path);
  CHECK(world.net().listen({"unix:" + path, 0}));

  std::ofstream(folder.path / "file") << "precious";
  const auto occupied = world.net().listen({"unix:" + (folder.path / "file").string(), 0});
  REQUIRE_FALSE(occupied);
  CHECK(occupied.error().message.find("no socket") != std::string::npos);
  CHECK(std::filesystem::exists(folder.path / "file"));
  CHECK_FALSE(world.net().listen({"unix:/" + std::string(200, 'x'), 0}));
}

TEST_CASE("tcp: IPv6") {
  TcpWorld world;
  auto listener = world.net().listen({"::1", 0});
  if (!listener) return;  // the host has none
  CHECK((*listener)->local().host == "::1");
  const auto body = [&]() -> Task<> {
    auto opened = take(co_await world.net().connect((*listener)->local(), 10s));
    auto accepted = take(co_await (*listener)->accept());
    CHECK(opened->peer() == (*listener)->local());
    CHECK(accepted->peer() == opened->local());
  };
  world.run(body());
}

/// A listening socket whose queue is full and that nobody accepts from: SYNs get no answer.
class DeafListener {
 public:
  DeafListener() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    auto* const generic = reinterpret_cast<sockaddr*>(&address);
    fds_.push_back(::socket(AF_INET, SOCK_STREAM, 0));
    REQUIRE(::bind(fds_[0], generic, length) == 0);
    REQUIRE(::listen(fds_[0], 0) == 0);
    REQUIRE(::getsockname(fds_[0], generic, &length) == 0);
    port_ = ntohs(address.sin_port);
    for (int i = 0; i < 4; ++i) {
      fds_.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
      static_cast<void>(::connect(fds_.back(), generic, length));
    }
  }
  ~DeafListener() {
    for (const int fd : fds_) ::close(fd);
  }
  io::Address address() const { return {"127.0.0.1", port_}; }

 private:
  std::vector<int> fds_;
  uint16_t port_ = 0;
};

TEST_CASE("tcp: connect gives up after its limit") {
  TcpWorld world;
  const DeafListener deaf;
  const auto before = world.clock().now();
  const auto stream = world.run(world.net().connect(deaf.address(), 50ms));
  CHECK(code_of(stream) == Errc::timeout);
  CHECK(world.clock().now() - before >= 50ms);
}

TEST_CASE("tcp: the end of its group ends connect") {
  TcpWorld world;
  const DeafListener deaf;
  io::TaskGroup group(world.loop);
  bool ended = false;
  const auto connecting = [&]() -> Task<> {
    static_cast<void>(co_await world.net().connect(deaf.address(), 1h));
    ended = true;
  };
  const auto ending = [&]() -> Task<> {
    group.spawn(connecting(), "connect");
    co_await world.clock().sleep(5ms);
    co_await group.stop();
  };
  world.run(ending());
  CHECK_FALSE(ended);
}

/// The lowest limit on open files that leaves what is open now.
class NoMoreDescriptors {
 public:
  NoMoreDescriptors() {
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before_) == 0);
    const int next = ::dup(0);
    ::close(next);
    rlimit tight = before_;
    tight.rlim_cur = static_cast<rlim_t>(next);
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &tight) == 0);
  }
  ~NoMoreDescriptors() { ::setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_{};
};

TEST_CASE("tcp: accept waits out a lack of descriptors") {
  TcpWorld world;
  auto listener = take(world.net().listen({"127.0.0.1", 0}));
  const auto body = [&]() -> Task<> {
    auto opened = take(co_await world.net().connect(listener->local(), 10s));
    auto limit = std::make_unique<NoMoreDescriptors>();
    const auto before = world.clock().now();
    const auto timer = world.clock().after(20ms, [&] { limit.reset(); });
    const auto accepted = take(co_await listener->accept());
    CHECK(accepted->peer() == opened->local());
    CHECK(world.clock().now() - before >= 20ms);
    // connect() does not wait, it tells.
    limit = std::make_unique<NoMoreDescriptors>();
    const auto failed = co_await world.net().connect(listener->local(), 10s);
    limit.reset();
    CHECK_FALSE(failed);
  };
  world.run(body());
}

TEST_CASE("tcp: a port that only this process could have is refused, not connected to itself") {
  TcpWorld world;
  // A connect to a port of the ephemeral range meets itself when the kernel picks the same port for it.
  auto listener = take(world.net().listen({"127.0.0.1", 0}));
  const auto address = listener->local();
  listener.reset();
  const auto body = [&]() -> Task<> {
    for (int i = 0; i < 200; ++i) {
      const auto stream = co_await world.net().connect(address, 10s);
      REQUIRE_FALSE(stream);
    }
  };
  world.run(body());
}

TEST_CASE("address: text form") {
  const auto text = [](std::string_view input) { return take(io::Address::parse(input)); };
  CHECK(text("10.0.0.1:80") == io::Address{"10.0.0.1", 80});
  CHECK(text("host:65535") == io::Address{"host", 65535});
  CHECK(text("[::1]:80") == io::Address{"::1", 80});
  CHECK(text("[::1]:80").str() == "[::1]:80");
  CHECK(text("host:1").str() == "host:1");
  for (const auto* bad : {"", ":", ":80", "host", "host:", "host:x", "host:65536", "host:-1", "host:1 ",
                          "::1:80", "[]:80", "[:80", "[::1]", "]:80x", "[::1:80"}) {
    INFO(bad);
    CHECK(code_of(io::Address::parse(bad)) == Errc::invalid_argument);
  }
}

}  // namespace
}  // namespace krakend::test
