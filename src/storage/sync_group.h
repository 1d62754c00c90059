#pragma once

#include <memory>
#include <string>
#include <vector>

#include "krakend/core/time.h"
#include "krakend/io/condition.h"
#include "krakend/io/disk.h"
#include "krakend/io/loop.h"

namespace krakend::storage {

/// Makes files and directories durable, for all who want it at that moment together: while one round is under
/// way the next one gathers. A round of many is one sync of the whole file system; of few, or when that has
/// proved slow because others write much, each is synced by itself. Loop thread.
class SyncGroup {
 public:
  /// All of it is on the file system of `directory`, or `one_file_system` is false.
  SyncGroup(io::Loop& loop, io::Disk& disk, std::string directory, bool one_file_system);

  struct Items {
    std::vector<io::FilePtr> files;
    std::vector<std::string> directories;
  };
  Task<Result<void>> sync(Items items);

 private:
  struct Waiting {
    Items items;
    bool done = false;
    Result<void> outcome;
  };
  using WaitingPtr = std::shared_ptr<Waiting>;
  /// Pool.
  void sync_each(const std::vector<WaitingPtr>& round) const;

  /// Callers in a round from which on the whole file system is synced at once.
  static constexpr size_t many = 3;
  /// A sync of the whole that took longer is not tried again for a while.
  static constexpr Duration slow = 100ms;
  static constexpr unsigned rounds_after_slow = 50;

  io::Loop& loop_;
  io::Disk& disk_;
  const std::string directory_;
  const bool one_file_system_;
  std::vector<WaitingPtr> queue_;
  bool running_ = false;
  unsigned avoid_whole_ = 0;  ///< rounds
  io::Condition changed_;
};

}  // namespace krakend::storage
