#include "io/unix_socket.h"

#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>

#include "krakend/core/result.h"

namespace krakend::io {
namespace {

Result<void> bind_to(int fd, const sockaddr_un& address) {
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) return {};
  return fail(errno_error(errno, fmt::format("listen on unix:{}", address.sun_path)));
}

/// A process that was killed leaves its socket file behind.
Result<void> remove_stale(const sockaddr_un& address) {
  const std::string path = address.sun_path;
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return {};
  if (!S_ISSOCK(info.st_mode))
    return fail(Errc::unavailable, "{} is there and is no socket", path);
  auto probe = open_socket(AF_UNIX);
  if (!probe) return propagate(probe);
  const int answer = ::connect(probe->get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  if (answer == 0 || errno != ECONNREFUSED)
    return fail(Errc::unavailable, "unix:{} is in use by another process", path);
  if (::unlink(path.c_str()) != 0 && errno != ENOENT)
    return fail(errno_error(errno, fmt::format("remove the old socket {}", path)));
  return {};
}

}  // namespace

Result<Descriptor> listen_unix(const std::string& path, int backlog) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path)
    return fail(Errc::invalid_argument, "\"{}\": the path of a socket has 1 to {} bytes", path,
                sizeof address.sun_path - 1);
  path.copy(address.sun_path, path.size());
  auto fd = open_socket(AF_UNIX);
  if (!fd) return propagate(fd);
  if (auto removed = remove_stale(address); !removed) return propagate(removed);
  if (auto bound = bind_to(fd->get(), address); !bound) return propagate(bound);
  if (::listen(fd->get(), backlog) != 0)
    return fail(errno_error(errno, fmt::format("listen on unix:{}", path)));
  return std::move(*fd);
}

}  // namespace krakend::io
