#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <string_view>
#include <vector>

#include "krakend/io/net.h"

namespace krakend::io {

/// An owned file descriptor.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor();
  int get() const { return fd_; }
  int release() {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }

 private:
  int fd_ = -1;
};

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;
  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

/// Blocks in the resolver: pool only, unless `host` is numeric.
Result<std::vector<SocketAddress>> resolve(const Address& address, bool numeric_only);
Address to_address(const SocketAddress& address);
Address local_address(int fd);
Address peer_address(int fd);
/// Non-blocking, close-on-exec TCP socket.
Result<Descriptor> open_socket(int family);
void set_option(int fd, int level, int name, int value);
/// SIGPIPE becomes EPIPE for the whole process: sendfile has no flag for it.
void ignore_broken_pipes();
/// What every connection gets: no delay, keep-alive probes.
void tune_connection(int fd);

}  // namespace krakend::io
