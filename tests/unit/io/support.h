#pragma once

#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "krakend/core/hash.h"
#include "krakend/io/condition.h"
#include "krakend/io/system.h"
#include "krakend/io/task_group.h"
#include "support/catch.h"
#include "support/run.h"
#include "support/seeded_random.h"
#include "support/take.h"
#include "support/temp_dir.h"

namespace krakend::test {

/// The operating system's loop, clock, network and disk.
template <unsigned pool_threads>
struct SystemWorld {
  io::Loop loop{io::LoopOptions{pool_threads}};
  std::unique_ptr<io::Clock> clock_ptr = io::make_system_clock(loop);
  std::unique_ptr<io::Net> net_ptr = io::make_tcp_net(loop, *clock_ptr);
  std::unique_ptr<io::Disk> disk_ptr = io::make_posix_disk();
  TempDir temp;

  io::Clock& clock() { return *clock_ptr; }
  io::Net& net() { return *net_ptr; }
  io::Disk& disk() { return *disk_ptr; }
  /// An existing empty directory of `disk`.
  std::string directory() { return temp.path(); }
  template <class T>
  T run(Task<T> task) {
    return test::run(loop, std::move(task));
  }
};

inline std::vector<std::byte> random_bytes(size_t size, uint64_t seed) {
  SeededRandom random(seed);
  std::vector<std::byte> bytes(size);
  for (size_t at = 0; at < size; at += sizeof(uint64_t)) {
    const uint64_t value = random.next();
    std::memcpy(bytes.data() + at, &value, std::min(size - at, sizeof value));
  }
  return bytes;
}

/// The code of a failure; internal stands for success, which io never fails with.
template <class T>
Errc code_of(const Result<T>& result) {
  return result ? Errc::internal : result.error().code;
}

namespace detail {

inline Task<> part(Task<> task, size_t& left, io::Condition& ended) {
  struct Guard {
    size_t& left;
    io::Condition& ended;
    ~Guard() {
      --left;
      ended.notify_all();
    }
  } guard{left, ended};
  co_await std::move(task);
}

}  // namespace detail

/// Runs tasks side by side until all have ended. They tell what they found through what they refer to: an
/// exception of one is only logged.
inline Task<> all(io::Loop& loop, std::vector<Task<>> tasks) {
  io::Condition ended(loop);
  io::TaskGroup group(loop, Logger::create({}, "test"));
  size_t left = tasks.size();
  for (auto& task : tasks) group.spawn(detail::part(std::move(task), left, ended), "part");
  while (left > 0) co_await ended.wait();
  co_await group.stop();
}

inline Task<> both(io::Loop& loop, Task<> one, Task<> other) {
  std::vector<Task<>> tasks;
  tasks.push_back(std::move(one));
  tasks.push_back(std::move(other));
  co_await all(loop, std::move(tasks));
}

}  // namespace krakend::test
