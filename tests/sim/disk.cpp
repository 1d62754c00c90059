#include "sim/disk.h"

#include <algorithm>
#include <utility>

#include "support/slice_file.h"

namespace krakend::sim {

Result<void> SimDisk::Device::use(const std::string& path) const {
  if (cut) return fail(Errc::io, "{}: the disk is gone", path);
  if (!broken.empty() && path.starts_with(broken)) return fail(Errc::io, "{}: input/output error", path);
  return {};
}

void SimDisk::Device::occupy(Duration takes) {
  if (takes == Duration{0}) return;
  const TimePoint now = time.now();
  takes = Duration{static_cast<int64_t>(static_cast<double>(takes.count()) * slowness)};
  free = std::max(free, now) + takes;
  time.spend(free - now);
}

Result<void> SimDisk::Device::write(const std::string& path, uint64_t bytes) {
  if (auto usable = use(path); !usable) return usable;
  if (options.error_chance > 0 && random.unit() < options.error_chance)
    return fail(Errc::io, "{}: input/output error", path);
  if (options.rate > 0)
    occupy(
        Duration{static_cast<int64_t>(static_cast<double>(bytes) * 1e9 / static_cast<double>(options.rate))});
  return {};
}

Result<void> SimDisk::Device::sync(const std::string& path) {
  if (auto written = write(path, 0); !written) return written;
  occupy(options.sync_time);
  trace.add(time.elapsed(), Trace::Kind::sync, node, node, 0);
  return {};
}

class SimDisk::OpenFile final : public test::SliceFile {
 public:
  OpenFile(std::shared_ptr<Device> device, io::FilePtr file, std::string path)
      : device_(std::move(device)),
        file_(std::move(file)),
        slices_(dynamic_cast<test::SliceFile&>(*file_)),
        path_(std::move(path)) {}

  Result<size_t> read_at(uint64_t offset, std::span<std::byte> out) override {
    if (auto usable = device_->use(path_); !usable) return propagate(usable);
    return file_->read_at(offset, out);
  }
  Result<void> write_at(uint64_t offset, std::span<const std::byte> data) override {
    if (auto written = device_->write(path_, data.size()); !written) return written;
    return file_->write_at(offset, data);
  }
  Result<std::vector<test::Slice>> read_slices(uint64_t offset, uint64_t length) override {
    if (auto usable = device_->use(path_); !usable) return propagate(usable);
    return slices_.read_slices(offset, length);
  }
  Result<void> write_slice(uint64_t offset, const test::Slice& slice) override {
    if (auto written = device_->write(path_, slice.length); !written) return written;
    return slices_.write_slice(offset, slice);
  }
  Result<void> allocate(uint64_t size) override {
    if (auto written = device_->write(path_, 0); !written) return written;
    return file_->allocate(size);
  }
  Result<void> truncate(uint64_t size) override {
    if (auto written = device_->write(path_, 0); !written) return written;
    return file_->truncate(size);
  }
  Result<void> sync() override {
    if (auto synced = device_->sync(path_); !synced) return synced;
    return file_->sync();
  }
  Result<uint64_t> size() override {
    if (auto usable = device_->use(path_); !usable) return propagate(usable);
    return file_->size();
  }
  int descriptor() const override { return -1; }
  Result<void> hash(Sha256& sha, uint64_t offset, uint64_t end) override {
    if (auto usable = device_->use(path_); !usable) return usable;
    return file_->hash(sha, offset, end);
  }

 private:
  std::shared_ptr<Device> device_;
  io::FilePtr file_;
  test::SliceFile& slices_;
  std::string path_;
};

SimDisk::SimDisk(Timeline& time, io::Random& random, Trace& trace, uint32_t node, test::MemoryDisk& platters,
                 DiskOptions options, Mount mount)
    : device_(new Device{time, random, trace, node, options}),
      platters_(platters),
      mount_(std::move(mount)) {}

bool SimDisk::mounted(const std::string& path) const {
  return mount_.disk != nullptr && path.starts_with(mount_.path);
}

test::MemoryDisk& SimDisk::on(const std::string& path) {
  if (!mounted(path)) return platters_;
  device_->time.spend(mount_.latency);
  return *mount_.disk;
}

Result<void> SimDisk::same_side(const std::string& from, const std::string& to) const {
  if (mounted(from) == mounted(to)) return {};
  return fail(Errc::io, "{} and {} are not on one file system", from, to);
}

void SimDisk::break_path(std::string path) {
  device_->broken = std::move(path);
}

void SimDisk::cut() {
  device_->cut = true;
}

Result<io::FilePtr> SimDisk::open(const std::string& path, io::OpenMode mode) {
  const bool reads = mode == io::OpenMode::read || mode == io::OpenMode::read_write;
  if (auto usable = reads ? device_->use(path) : device_->write(path, 0); !usable) return propagate(usable);
  auto file = on(path).open(path, mode);
  if (!file) return file;
  return io::FilePtr(std::make_shared<OpenFile>(device_, std::move(*file), path));
}

Result<io::FileStat> SimDisk::stat(const std::string& path) {
  if (auto usable = device_->use(path); !usable) return propagate(usable);
  return on(path).stat(path);
}
Result<void> SimDisk::rename(const std::string& from, const std::string& to) {
  if (auto usable = device_->write(from, 0); !usable) return usable;
  if (auto good = same_side(from, to); !good) return good;
  return on(to).rename(from, to);
}
Result<void> SimDisk::hard_link(const std::string& from, const std::string& to) {
  if (auto usable = device_->write(to, 0); !usable) return usable;
  if (auto good = same_side(from, to); !good) return good;
  return on(to).hard_link(from, to);
}
Result<void> SimDisk::soft_link(const std::string& target, const std::string& path) {
  if (auto usable = device_->write(path, 0); !usable) return usable;
  return on(path).soft_link(target, path);
}
Result<std::string> SimDisk::read_link(const std::string& path) {
  if (auto usable = device_->use(path); !usable) return propagate(usable);
  return on(path).read_link(path);
}
Result<void> SimDisk::remove(const std::string& path) {
  if (auto usable = device_->write(path, 0); !usable) return usable;
  return on(path).remove(path);
}
Result<void> SimDisk::remove_all(const std::string& path) {
  if (auto usable = device_->write(path, 0); !usable) return usable;
  return on(path).remove_all(path);
}
Result<void> SimDisk::make_dirs(const std::string& path) {
  if (auto usable = device_->write(path, 0); !usable) return usable;
  return on(path).make_dirs(path);
}
Result<void> SimDisk::sync_dir(const std::string& path) {
  if (auto synced = device_->sync(path); !synced) return synced;
  return on(path).sync_dir(path);
}
Result<Duration> SimDisk::sync_file_system(const std::string& path) {
  if (auto synced = device_->sync(path); !synced) return propagate(synced);
  auto done = on(path).sync_file_system(path);
  if (!done) return done;
  return device_->options.sync_time;
}
Result<std::vector<std::string>> SimDisk::list(const std::string& path) {
  if (auto usable = device_->use(path); !usable) return propagate(usable);
  auto names = on(path).list(path);
  if (!names || !mounted(path) || mount_.listing_lag == Duration{0}) return names;
  const auto newest = SimClock(device_->time).wall() - mount_.listing_lag;
  std::erase_if(*names, [&](const std::string& name) {
    const auto found = mount_.disk->stat(path + "/" + name);
    return found && !found->directory && found->modified > newest;
  });
  return names;
}
Result<io::DiskSpace> SimDisk::space(const std::string& path) {
  if (auto usable = device_->use(path); !usable) return propagate(usable);
  return on(path).space(path);
}
Result<io::FilePtr> SimDisk::make_memory_file() {
  return platters_.make_memory_file();
}

}  // namespace krakend::sim
