#pragma once

#include <vector>

#include "io/socket.h"
#include "krakend/io/clock.h"
#include "krakend/io/loop.h"
#include "krakend/io/workers.h"

namespace krakend::io {

/// Looks up host names on threads of its own: a name server that does not answer holds up neither the disk
/// work of the pool nor a caller beyond its limit.
class Resolver {
 public:
  Resolver(Loop& loop, Clock& clock) : loop_(loop), clock_(clock) {}
  /// At least one address, in the order of the system's preference.
  Task<Result<std::vector<SocketAddress>>> resolve(Address address, Duration limit);

 private:
  struct Lookup;
  static Task<> run(Loop& loop, Workers& threads, std::shared_ptr<Lookup> lookup);

  static constexpr unsigned max_threads = 2;
  Loop& loop_;
  Clock& clock_;
  Workers threads_{max_threads};
};

}  // namespace krakend::io
