#pragma once

#include <asio/co_spawn.hpp>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "sim/disk.h"
#include "sim/net.h"
#include "sim/network.h"
#include "sim/timeline.h"
#include "sim/trace.h"
#include "support/memory_disk.h"
#include "support/seeded_random.h"
#include "support/take.h"

namespace krakend::test {

/// One simulated host, as the contract suites of io want a world.
class SimWorld {
 public:
  explicit SimWorld(sim::NetworkOptions options = {})
      : network(time, random, trace, std::move(options)), host(network.add_host({"10.0.0.1", 0, 0, 0})) {
    take(platters.make_dirs(directory()));
    time.set_offload_cost(1us);  // who polls by way of the pool lets time pass
  }
  SimWorld(const SimWorld&) = delete;
  SimWorld& operator=(const SimWorld&) = delete;

  io::Clock& clock() { return sim_clock; }
  io::Net& net() { return *net_ptr; }
  io::Disk& disk() { return sim_disk; }
  std::string directory() { return "/dir"; }

  template <class T>
  T run(Task<T> task) {
    bool done = false;
    std::exception_ptr failure;
    std::conditional_t<std::is_void_v<T>, bool, std::optional<T>> value{};
    if constexpr (std::is_void_v<T>) {
      asio::co_spawn(loop.executor(), std::move(task), [&](const std::exception_ptr& error) {
        failure = error;
        done = true;
      });
    } else {
      asio::co_spawn(loop.executor(), std::move(task), [&](const std::exception_ptr& error, T result) {
        failure = error;
        if (!error) value.emplace(std::move(result));
        done = true;
      });
    }
    constexpr Duration patience = 1h;
    if (!time.run_until([&] { return done; }, patience)) throw std::runtime_error("a task does not end");
    if (failure) std::rethrow_exception(failure);
    if constexpr (!std::is_void_v<T>) return std::move(*value);
  }

  sim::Timeline time;
  io::Loop& loop = time.loop();
  sim::SimClock sim_clock{time};
  SeededRandom random{1};
  sim::Trace trace;
  sim::Network network;
  sim::HostId host;
  std::unique_ptr<io::Net> net_ptr = network.attach(host);
  MemoryDisk platters;
  sim::SimDisk sim_disk{time, random, trace, 0, platters, {}};
};

}  // namespace krakend::test
