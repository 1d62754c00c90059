#include "io/socket.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstddef>

namespace krakend::io {

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this != &other) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = other.release();
  }
  return *this;
}

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

namespace {

constexpr std::string_view unix_prefix = "unix:";

}  // namespace

std::string Address::unix_path() const {
  return host.starts_with(unix_prefix) ? host.substr(unix_prefix.size()) : std::string();
}

std::string Address::str() const {
  if (host.starts_with(unix_prefix)) return host;
  return host.find(':') == std::string::npos ? fmt::format("{}:{}", host, port)
                                             : fmt::format("[{}]:{}", host, port);
}

Result<Address> Address::parse(std::string_view text) {
  const auto bad = [text] { return fail(Errc::invalid_argument, "\"{}\" is not host:port", text); };
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos || colon == 0) return bad();
  auto host = text.substr(0, colon);
  if (host.front() == '[') {
    if (host.size() < 3 || host.back() != ']') return bad();
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    return bad();
  }
  const auto digits = text.substr(colon + 1);
  uint16_t port = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), port);
  if (digits.empty() || parsed.ec != std::errc{} || parsed.ptr != digits.data() + digits.size()) return bad();
  return Address{std::string(host), port};
}

Result<std::vector<SocketAddress>> resolve(const Address& address, bool numeric_only) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV | (numeric_only ? AI_NUMERICHOST : AI_ADDRCONFIG);
  addrinfo* list = nullptr;
  const int status = getaddrinfo(address.host.c_str(), std::to_string(address.port).c_str(), &hints, &list);
  if (status != 0) return fail(Errc::network, "resolve {}: {}", address.host, gai_strerror(status));
  std::vector<SocketAddress> found;
  for (const addrinfo* item = list; item != nullptr; item = item->ai_next) {
    SocketAddress one;
    one.length = item->ai_addrlen;
    std::copy_n(reinterpret_cast<const char*>(item->ai_addr), item->ai_addrlen,
                reinterpret_cast<char*>(&one.storage));
    found.push_back(one);
  }
  freeaddrinfo(list);
  return found;
}

Address to_address(const SocketAddress& address) {
  if (address.storage.ss_family == AF_UNIX) {
    const auto* file = reinterpret_cast<const sockaddr_un*>(&address.storage);
    const bool named = address.length > offsetof(sockaddr_un, sun_path);
    return {std::string(unix_prefix) + (named ? file->sun_path : ""), 0};
  }
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.storage.ss_family == AF_INET6) {
    const auto* in6 = reinterpret_cast<const sockaddr_in6*>(&address.storage);
    if (IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr)) {
      inet_ntop(AF_INET, &in6->sin6_addr.s6_addr[12], text.data(), text.size());
    } else {
      inet_ntop(AF_INET6, &in6->sin6_addr, text.data(), text.size());
    }
    return {text.data(), ntohs(in6->sin6_port)};
  }
  const auto* in4 = reinterpret_cast<const sockaddr_in*>(&address.storage);
  inet_ntop(AF_INET, &in4->sin_addr, text.data(), text.size());
  return {text.data(), ntohs(in4->sin_port)};
}

Address local_address(int fd) {
  SocketAddress address;
  address.length = sizeof address.storage;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address.storage), &address.length);
  return to_address(address);
}

Address peer_address(int fd) {
  SocketAddress address;
  address.length = sizeof address.storage;
  getpeername(fd, reinterpret_cast<sockaddr*>(&address.storage), &address.length);
  return to_address(address);
}

Result<Descriptor> open_socket(int family) {
  Descriptor fd(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (fd.get() < 0) return fail(errno_error(errno, "socket"));
  return fd;
}

void set_option(int fd, int level, int name, int value) {
  ::setsockopt(fd, level, name, &value, sizeof value);
}

void ignore_broken_pipes() {
  ::signal(SIGPIPE, SIG_IGN);
}

void tune_connection(int fd) {
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
}

}  // namespace krakend::io
