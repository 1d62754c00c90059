#include "io/resolver.h"

#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>

#include "krakend/io/condition.h"

namespace krakend::io {

/// Outlives a caller that has stopped waiting.
struct Resolver::Lookup {
  Lookup(Loop& loop, Address a) : address(std::move(a)), ended(loop) {}
  Address address;
  std::optional<Result<std::vector<SocketAddress>>> found;
  Condition ended;
};

Task<> Resolver::run(Loop& loop, Workers& threads, std::shared_ptr<Lookup> lookup) {
  lookup->found = co_await loop.offload_to(threads, [&] { return io::resolve(lookup->address, false); });
  lookup->ended.notify_all();
}

Task<Result<std::vector<SocketAddress>>> Resolver::resolve(Address address, Duration limit) {
  if (auto numeric = io::resolve(address, true)) co_return numeric;
  const auto lookup = std::make_shared<Lookup>(loop_, std::move(address));
  asio::co_spawn(loop_.executor(), run(loop_, threads_, lookup), asio::detached);
  const TimePoint deadline = clock_.now() + limit;
  while (!lookup->found) {
    if (!co_await lookup->ended.wait_for(clock_, deadline - clock_.now()) && !lookup->found) {
      co_return fail(Errc::timeout, "resolve {}: no answer in time", lookup->address.host);
    }
  }
  co_return std::move(*lookup->found);
}

}  // namespace krakend::io
