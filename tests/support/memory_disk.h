#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "krakend/io/clock.h"
#include "krakend/io/disk.h"
#include "krakend/io/random.h"

namespace krakend::test {

/// A file system in memory that can run full, break, rot and lose its power. As on a real one, what was
/// written is there after a power loss only if the file was synced, and a name only if its directory was;
/// without that either state may come back, of a file also some sectors of one and some of the other.
/// Thread-safe.
class MemoryDisk final : public io::Disk {
 public:
  explicit MemoryDisk(uint64_t capacity = uint64_t{1} << 40);
  ~MemoryDisk() override;

  /// Calls so far that change something (writes, creations, renames, removals, syncs).
  uint64_t changes() const;
  /// After `left` more changes every call that changes something fails with `code`, until the power comes
  /// back.
  void break_after(uint64_t left, Errc code = Errc::io);
  /// Everything that is not durable is gone, has stayed or is torn, as `random` has it; nothing is broken any
  /// more.
  /// Files that are open now are not to be used any more.
  void lose_power(io::Random& random);
  /// One bit changes in a file, picked at random, that has this name, lies somewhere below that directory and
  /// is not empty; nobody is told. Its path; empty: there is none.
  std::string rot(io::Random& random, const std::string& directory, const std::string& name);
  /// Files that are open; those in memory alone do not count.
  size_t open_files() const;
  /// Whose wall clock files are stamped with; without one all are of the epoch.
  void set_clock(const io::Clock& clock);
  /// Bytes of all files together; beyond: no_space.
  void set_capacity(uint64_t bytes);

  Result<io::FilePtr> open(const std::string& path, io::OpenMode mode) override;
  Result<io::FileStat> stat(const std::string& path) override;
  Result<void> rename(const std::string& from, const std::string& to) override;
  Result<void> hard_link(const std::string& from, const std::string& to) override;
  /// There are no symbolic links here.
  Result<void> soft_link(const std::string& target, const std::string& path) override;
  Result<std::string> read_link(const std::string& path) override;
  Result<void> remove(const std::string& path) override;
  Result<void> remove_all(const std::string& path) override;
  Result<void> make_dirs(const std::string& path) override;
  Result<void> sync_dir(const std::string& path) override;
  Result<Duration> sync_file_system(const std::string& path) override;
  Result<std::vector<std::string>> list(const std::string& path) override;
  Result<io::DiskSpace> space(const std::string& path) override;
  Result<io::FilePtr> make_memory_file() override;

 private:
  struct Node;
  struct Place;
  struct State;
  class OpenFile;
  using NodePtr = std::shared_ptr<Node>;

  std::shared_ptr<State> state_;
};

}  // namespace krakend::test
