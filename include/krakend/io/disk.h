#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "krakend/core/hash.h"
#include "krakend/core/result.h"
#include "krakend/core/time.h"

namespace krakend::io {

/// An open file. All calls block: they belong on the pool (Loop::offload). Calls on different ranges may run
/// at the same time. Closed by the destructor.
class File {
 public:
  virtual ~File() = default;
  /// Bytes read, less than asked only at the end of the file.
  virtual Result<size_t> read_at(uint64_t offset, std::span<std::byte> out) = 0;
  /// Writes all of `data`.
  virtual Result<void> write_at(uint64_t offset, std::span<const std::byte> data) = 0;
  /// Reserves `size` bytes of disk and makes the file that long; no_space when they are not there.
  virtual Result<void> allocate(uint64_t size) = 0;
  virtual Result<void> truncate(uint64_t size) = 0;
  /// Begins to write this part to the disk, so that a later sync() has less to do. Nothing is promised.
  virtual void begin_sync(uint64_t /*offset*/, uint64_t /*length*/) {}
  /// Data and metadata durable.
  virtual Result<void> sync() = 0;
  virtual Result<uint64_t> size() = 0;
  /// For sendfile; -1 where there is no descriptor.
  virtual int descriptor() const = 0;
  /// Feeds the bytes from `offset` to `end` to `sha`, by reading them unless the file knows a shorter way. io
  /// when it ends before.
  virtual Result<void> hash(Sha256& sha, uint64_t offset, uint64_t end);
};
using FilePtr = std::shared_ptr<File>;

struct FileStat {
  uint64_t size = 0;
  bool directory = false;
  std::chrono::system_clock::time_point modified;
};

struct DiskSpace {
  uint64_t total = 0;
  uint64_t used = 0;
  uint64_t available = 0;  ///< to this process
};

enum class OpenMode {
  read,        ///< must exist
  read_write,  ///< must exist
  create,      ///< created when missing
  create_new,  ///< already_exists when there
  truncate,    ///< created or emptied
};

/// The file system. Paths are absolute or relative to the working directory. All calls block: pool only.
/// Thread-safe.
class Disk {
 public:
  virtual ~Disk() = default;
  virtual Result<FilePtr> open(const std::string& path, OpenMode mode) = 0;
  virtual Result<FileStat> stat(const std::string& path) = 0;
  /// Replaces an existing file; fails with already_exists when the target is a non-empty directory.
  virtual Result<void> rename(const std::string& from, const std::string& to) = 0;
  virtual Result<void> hard_link(const std::string& from, const std::string& to) = 0;
  /// A symbolic link at `path`.
  virtual Result<void> soft_link(const std::string& target, const std::string& path) = 0;
  /// Where a symbolic link leads; an error for anything else.
  virtual Result<std::string> read_link(const std::string& path) = 0;
  /// A missing file is not_found.
  virtual Result<void> remove(const std::string& path) = 0;
  /// Nothing there is success.
  virtual Result<void> remove_all(const std::string& path) = 0;
  virtual Result<void> make_dirs(const std::string& path) = 0;
  /// Makes creations, renames and removals in the directory durable.
  virtual Result<void> sync_dir(const std::string& path) = 0;
  /// Makes everything on the file system of `path` durable, what others wrote too. How long it took.
  virtual Result<Duration> sync_file_system(const std::string& path) = 0;
  /// Names without "." and "..", sorted.
  virtual Result<std::vector<std::string>> list(const std::string& path) = 0;
  virtual Result<DiskSpace> space(const std::string& path) = 0;
  /// An empty file without a name, in memory. It has a descriptor where others have one.
  virtual Result<FilePtr> make_memory_file() = 0;
};

/// Feeds the bytes from `offset` to `end` of `file` to `fn` in parts that fit into a small buffer. io when it
/// ends before.
Result<void> read_range(File& file, uint64_t offset, uint64_t end,
                        const std::function<Result<void>(std::span<const std::byte>)>& fn);
/// Whole small files. `limit` bounds the memory: too_large beyond it.
Result<std::string> read_file(Disk& disk, const std::string& path, uint64_t limit);
/// Truncates and writes in place; not durable, not atomic.
Result<void> write_file(Disk& disk, const std::string& path, std::string_view content);
/// Truncates, writes in place and syncs; not atomic, and the name itself is not durable yet.
Result<void> write_file_synced(Disk& disk, const std::string& path, std::string_view content);
/// Temporary file beside it, fsync, rename, fsync of the directory: after success the content survives a
/// power loss.
Result<void> write_file_durably(Disk& disk, const std::string& path, std::string_view content);
/// Makes a directory and its parents, and their names durable.
Result<void> make_dirs_durably(Disk& disk, const std::string& dir);
/// Directory part of a path; "." when there is none.
std::string parent_path(const std::string& path);

}  // namespace krakend::io
