#pragma once

#include <memory>
#include <string>
#include <vector>

#include "krakend/io/disk.h"
#include "krakend/io/random.h"
#include "sim/timeline.h"
#include "sim/trace.h"
#include "support/memory_disk.h"

namespace krakend::sim {

struct DiskOptions {
  uint64_t rate = 0;        ///< bytes a second that are written and synced; 0: no limit
  Duration sync_time{0};    ///< of each sync besides
  double error_chance = 0;  ///< of each write and sync
};

/// A file system of a server that several hosts see below the same path; it outlives them all.
struct Mount {
  std::string path;  ///< "/shared"
  test::MemoryDisk* disk = nullptr;
  Duration latency{0};      ///< of each call
  Duration listing_lag{0};  ///< a new file is not listed earlier
};

/// The disk of one host as one process sees it: takes time, fails now and then, and is gone for that process
/// when the host dies. What is on it lies in a MemoryDisk that outlives the process. One thread.
class SimDisk final : public io::Disk {
 public:
  SimDisk(Timeline& time, io::Random& random, Trace& trace, uint32_t node, test::MemoryDisk& platters,
          DiskOptions options, Mount mount = {});
  /// From now on everything fails, and nothing changes any more.
  void cut();
  /// What lies below `path` fails; empty: nothing does.
  void break_path(std::string path);
  /// From now on everything takes so many times longer.
  void slow_down(double times) { device_->slowness = times; }

  Result<io::FilePtr> open(const std::string& path, io::OpenMode mode) override;
  Result<io::FileStat> stat(const std::string& path) override;
  Result<void> rename(const std::string& from, const std::string& to) override;
  Result<void> hard_link(const std::string& from, const std::string& to) override;
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
  class OpenFile;
  /// The device, shared with the files that are open on it.
  struct Device {
    Timeline& time;
    io::Random& random;
    Trace& trace;
    const uint32_t node;
    const DiskOptions options;
    bool cut = false;
    std::string broken{};
    double slowness = 1;  ///< everything takes so many times longer
    TimePoint free{};

    Result<void> use(const std::string& path) const;
    /// Something is written: may fail, and takes the device for a while.
    Result<void> write(const std::string& path, uint64_t bytes);
    Result<void> sync(const std::string& path);
    void occupy(Duration takes);
  };

  bool mounted(const std::string& path) const;
  /// What the path lies on; a call to a server takes its time.
  test::MemoryDisk& on(const std::string& path);
  /// Nothing has a name here and there.
  Result<void> same_side(const std::string& from, const std::string& to) const;

  std::shared_ptr<Device> device_;
  test::MemoryDisk& platters_;
  const Mount mount_;
};

}  // namespace krakend::sim
