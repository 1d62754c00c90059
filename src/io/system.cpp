#include "krakend/io/system.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <malloc.h>
#include <net/if.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <asio/signal_set.hpp>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "io/socket.h"

namespace krakend::io {

struct SignalWatch::Impl : std::enable_shared_from_this<SignalWatch::Impl> {
  Impl(Loop& loop, std::function<void(int)> f)
      : signals(loop.executor(), SIGTERM, SIGINT, SIGHUP), fn(std::move(f)) {}
  void wait() {
    signals.async_wait([self = shared_from_this()](const asio::error_code& error, int number) {
      if (error || !self->fn) return;
      // Listens on before the callback: a second signal during it counts. The callback may end the watch.
      self->wait();
      const auto call = self->fn;
      call(number);
    });
  }
  asio::signal_set signals;
  std::function<void(int)> fn;
};

SignalWatch::SignalWatch(Loop& loop, std::function<void(int)> fn)
    : impl_(std::make_shared<Impl>(loop, std::move(fn))) {
  ignore_broken_pipes();
  impl_->wait();
}

SignalWatch::~SignalWatch() {
  impl_->fn = nullptr;
  asio::error_code ignored;
  impl_->signals.cancel(ignored);
}

namespace {

class UdpSender final : public DatagramSender {
 public:
  explicit UdpSender(Descriptor fd) : fd_(std::move(fd)) {}
  void send(std::string_view packet) override {
    (void)::send(fd_.get(), packet.data(), packet.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }

 private:
  Descriptor fd_;
};

}  // namespace

Result<std::unique_ptr<DatagramSender>> make_datagram_sender(const std::string& target) {
  auto address = Address::parse(target);
  if (!address) return propagate(address);
  auto found = resolve(*address, false);
  if (!found) return propagate(found);
  const SocketAddress& to = found->front();
  Descriptor fd(::socket(to.storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (fd.get() < 0 || ::connect(fd.get(), to.get(), to.length) != 0)
    return fail(errno_error(errno, "connect " + target));
  return std::make_unique<UdpSender>(std::move(fd));
}

void notify_service_manager(std::string_view state) {
  const char* path = std::getenv("NOTIFY_SOCKET");
  if (path == nullptr || (path[0] != '/' && path[0] != '@')) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const size_t length = std::strlen(path);
  if (length >= sizeof address.sun_path) return;
  std::memcpy(address.sun_path, path, length);
  if (path[0] == '@') address.sun_path[0] = '\0';  // abstract socket
  const Descriptor fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (fd.get() < 0) return;
  ::sendto(fd.get(), state.data(), state.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address),
           static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length));
}

namespace {

/// The begin of a file of the kernel's; empty when there is none.
std::string read_small(const char* path) {
  const Descriptor fd(::open(path, O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) return {};
  std::array<char, 4096> bytes{};
  const ssize_t got = ::read(fd.get(), bytes.data(), bytes.size());
  return got <= 0 ? std::string() : std::string(bytes.data(), static_cast<size_t>(got));
}

/// A number alone on its line; "max" and what is larger than any machine mean no limit.
std::optional<uint64_t> read_limit(const std::string& path) {
  constexpr uint64_t absurd = uint64_t{1} << 60;
  const std::string text = read_small(path.c_str());
  if (text.empty() || text.front() < '0' || text.front() > '9') return std::nullopt;
  const uint64_t value = std::strtoull(text.c_str(), nullptr, 10);
  return value >= absurd ? std::nullopt : std::optional(value);
}

}  // namespace

uint64_t memory_use() {
  const std::string text = read_small("/proc/self/statm");  // pages: all, resident, ...
  const size_t blank = text.find(' ');
  if (blank == std::string::npos) return 0;
  return std::strtoull(text.c_str() + blank, nullptr, 10) * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

size_t kept_memory() {
#ifdef __GLIBC__
  return ::mallinfo2().fordblks;
#else
  return 0;
#endif
}

void return_memory() {
#ifdef __GLIBC__
  ::malloc_trim(0);
#endif
}

std::optional<uint64_t> memory_allowed() {
  // Version 2: "0::/path", and the limit of every group above holds too. Version 1: its own folder.
  const std::string groups = read_small("/proc/self/cgroup");
  std::optional<uint64_t> least = read_limit("/sys/fs/cgroup/memory/memory.limit_in_bytes");
  const size_t at = groups.find("0::");
  std::string path = at == std::string::npos ? "" : groups.substr(at + 3, groups.find('\n', at) - at - 3);
  for (;;) {
    const auto limit = read_limit("/sys/fs/cgroup" + path + "/memory.max");
    if (limit && (!least || *limit < *least)) least = limit;
    const size_t slash = path.rfind('/');
    if (slash == std::string::npos) return least;
    path.resize(slash);
  }
}

size_t open_files() {
  size_t count = 0;
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir("/proc/self/fd"), ::closedir);
  if (!folder) return 0;
  while (::readdir(folder.get()) != nullptr) ++count;
  return count - std::min<size_t>(count, 3);  // ".", ".." and the folder itself
}

size_t open_files_max() {
  rlimit limit{};
  return ::getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : 0;
}

std::optional<std::string> local_ipv4() {
  ifaddrs* list = nullptr;
  if (::getifaddrs(&list) != 0) return std::nullopt;
  const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> guard(list, ::freeifaddrs);
  for (const std::string_view wanted : {"eth0", "ib0", "eth1", "eth2"}) {
    for (const ifaddrs* item = list; item != nullptr; item = item->ifa_next) {
      if (item->ifa_name != wanted || item->ifa_addr == nullptr || item->ifa_addr->sa_family != AF_INET)
        continue;
      if ((item->ifa_flags & IFF_LOOPBACK) != 0) continue;
      std::array<char, INET_ADDRSTRLEN> text{};
      const auto* address = reinterpret_cast<const sockaddr_in*>(item->ifa_addr);
      if (::inet_ntop(AF_INET, &address->sin_addr, text.data(), text.size()) != nullptr) return text.data();
    }
  }
  return std::nullopt;
}

std::string boot_id() {
  std::ifstream file("/proc/sys/kernel/random/boot_id");
  std::string id;
  std::getline(file, id);
  return id;
}

std::string host_name() {
  std::array<char, 256> name{};
  if (::gethostname(name.data(), name.size() - 1) != 0) return "localhost";
  return name.data();
}

}  // namespace krakend::io
