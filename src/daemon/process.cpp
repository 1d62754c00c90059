#include "daemon/process.h"

#include <malloc.h>
#include <sys/resource.h>

namespace krakend::daemon {

void tune_process() {
#ifdef __GLIBC__
  // Pool and client threads come and go with load; an arena each would keep what they once needed.
  constexpr int arenas = 2;
  constexpr int release_above =
      128 * 1024;  // bytes: larger blocks are mapped, and a larger free top is given back
  mallopt(M_ARENA_MAX, arenas);
  mallopt(M_MMAP_THRESHOLD, release_above);
  mallopt(M_TRIM_THRESHOLD, release_above);
#endif
  // One descriptor per connection, and thousands of agents may keep one open.
  rlimit descriptors{};
  if (getrlimit(RLIMIT_NOFILE, &descriptors) != 0) return;
  descriptors.rlim_cur = descriptors.rlim_max;
  setrlimit(RLIMIT_NOFILE, &descriptors);
}

}  // namespace krakend::daemon
