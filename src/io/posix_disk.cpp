#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <mutex>

#include "io/socket.h"
#include "krakend/io/system.h"

namespace krakend::io {
namespace {

// Before umask, as the reference has them (contract core-formats §14).
constexpr mode_t file_mode = 0666;
constexpr mode_t directory_mode = 0775;

tl::unexpected<Error> failure(std::string_view operation, const std::string& path, int err = errno) {
  return fail(errno_error(err, fmt::format("{} {}", operation, path)));
}

class PosixFile final : public File {
 public:
  PosixFile(Descriptor fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  Result<size_t> read_at(uint64_t offset, std::span<std::byte> out) override {
    size_t done = 0;
    while (done < out.size()) {
      const auto rest = out.subspan(done);
      const ssize_t got = ::pread(fd_.get(), rest.data(), rest.size(), static_cast<off_t>(offset + done));
      if (got == 0) break;
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return failure("read", path_);
      done += static_cast<size_t>(got);
    }
    return done;
  }

  Result<void> write_at(uint64_t offset, std::span<const std::byte> data) override {
    const std::lock_guard turn(writing_);
    while (!data.empty()) {
      const ssize_t put = ::pwrite(fd_.get(), data.data(), data.size(), static_cast<off_t>(offset));
      if (put < 0 && errno == EINTR) continue;
      if (put < 0) return failure("write", path_);
      if (put == 0) return failure("write", path_, EIO);
      offset += static_cast<uint64_t>(put);
      data = data.subspan(static_cast<size_t>(put));
    }
    return {};
  }

  Result<void> allocate(uint64_t size) override {
    if (size == 0) return truncate(0);
    struct stat before {};
    if (::fstat(fd_.get(), &before) != 0) return failure("stat", path_);
    const int err = reserve(size, before);
    if (err == 0) return truncate(size);
    ::ftruncate(fd_.get(), before.st_size);  // gives back what was reserved; the failure is told anyway
    return failure("allocate", path_, err);
  }

  Result<void> truncate(uint64_t size) override {
    if (::ftruncate(fd_.get(), static_cast<off_t>(size)) != 0) return failure("truncate", path_);
    return {};
  }

  void begin_sync(uint64_t offset, uint64_t length) override {
    ::sync_file_range(fd_.get(), static_cast<off_t>(offset), static_cast<off_t>(length),
                      SYNC_FILE_RANGE_WRITE);
  }

  Result<void> sync() override {
    if (::fsync(fd_.get()) != 0) return failure("fsync", path_);
    return {};
  }

  Result<uint64_t> size() override {
    struct stat info {};
    if (::fstat(fd_.get(), &info) != 0) return failure("stat", path_);
    return static_cast<uint64_t>(info.st_size);
  }

  int descriptor() const override { return fd_.get(); }

 private:
  /// 0 or an errno.
  int reserve(uint64_t size, const struct stat& before) const {
    // The kernel would take all there is before it refuses, and everybody else would find the disk full
    // meanwhile.
    struct statvfs space {};
    const uint64_t owned = static_cast<uint64_t>(before.st_blocks) * 512;
    if (::fstatvfs(fd_.get(), &space) == 0 &&
        size > owned + static_cast<uint64_t>(space.f_bavail) * space.f_frsize)
      return ENOSPC;
    const auto length = static_cast<off_t>(size);
    int err = 0;
    do err = ::fallocate(fd_.get(), 0, 0, length) == 0 ? 0 : errno;
    while (err == EINTR);
    // A file system that cannot reserve: the C library writes to every block, or the length alone must do.
    if (err == EOPNOTSUPP || err == ENOSYS) err = ::posix_fallocate(fd_.get(), 0, length);
    return err == EOPNOTSUPP || err == ENOSYS ? 0 : err;
  }

  Descriptor fd_;
  std::string path_;
  std::mutex writing_;  ///< the file system admits one writer a file, and those who wait there spin
};

int open_flags(OpenMode mode) {
  switch (mode) {
    case OpenMode::read:
      return O_RDONLY;
    case OpenMode::read_write:
      return O_RDWR;
    case OpenMode::create:
      return O_RDWR | O_CREAT;
    case OpenMode::create_new:
      return O_RDWR | O_CREAT | O_EXCL;
    case OpenMode::truncate:
      return O_RDWR | O_CREAT | O_TRUNC;
  }
  return O_RDONLY;
}

class PosixDisk final : public Disk {
 public:
  Result<FilePtr> open(const std::string& path, OpenMode mode) override {
    Descriptor fd(::open(path.c_str(), open_flags(mode) | O_CLOEXEC, file_mode));
    if (fd.get() < 0) return failure("open", path);
    return FilePtr(std::make_shared<PosixFile>(std::move(fd), path));
  }

  Result<FileStat> stat(const std::string& path) override {
    struct stat info {};
    if (::stat(path.c_str(), &info) != 0) return failure("stat", path);
    const auto since_epoch =
        std::chrono::seconds(info.st_mtim.tv_sec) + std::chrono::nanoseconds(info.st_mtim.tv_nsec);
    return FileStat{static_cast<uint64_t>(info.st_size), S_ISDIR(info.st_mode),
                    std::chrono::system_clock::time_point(
                        std::chrono::duration_cast<std::chrono::system_clock::duration>(since_epoch))};
  }

  Result<void> rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) == 0) return {};
    const int err = errno;
    auto error = errno_error(err, fmt::format("rename {} to {}", from, to));
    if (err == EISDIR) error.code = Errc::already_exists;  // a directory is in the way of a file
    return fail(std::move(error));
  }

  Result<void> hard_link(const std::string& from, const std::string& to) override {
    if (::link(from.c_str(), to.c_str()) != 0) return failure("link", fmt::format("{} to {}", from, to));
    return {};
  }

  Result<void> soft_link(const std::string& target, const std::string& path) override {
    if (::symlink(target.c_str(), path.c_str()) != 0) return failure("link", path);
    return {};
  }

  Result<std::string> read_link(const std::string& path) override {
    std::array<char, PATH_MAX> target{};
    const ssize_t length = ::readlink(path.c_str(), target.data(), target.size());
    if (length < 0) return failure("read link", path);
    return std::string(target.data(), static_cast<size_t>(length));
  }

  Result<void> remove(const std::string& path) override {
    if (::remove(path.c_str()) != 0) return failure("remove", path);
    return {};
  }

  Result<void> remove_all(const std::string& path) override {
    std::error_code error;
    std::filesystem::remove_all(path, error);
    if (error) return failure("remove", path, error.value());
    return {};
  }

  Result<void> make_dirs(const std::string& path) override {
    // Nearly always only the last part is missing, if any.
    if (::mkdir(path.c_str(), directory_mode) == 0) return {};
    const bool there = errno == EEXIST;
    for (size_t end = 0; !there && end != std::string::npos;) {
      end = path.find('/', end + 1);
      const auto part = path.substr(0, end);
      if (::mkdir(part.c_str(), directory_mode) == 0 || errno == EEXIST) continue;
      if (errno == ENOTDIR) break;
      return failure("create directory", part);
    }
    auto made = stat(path);
    if (made && made->directory) return {};
    if (path.empty()) return propagate(made);
    return fail(Errc::already_exists, "create directory {}: a file is in the way", path);
  }

  Result<void> sync_dir(const std::string& path) override {
    const Descriptor fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (fd.get() < 0) return failure("open directory", path);
    if (::fsync(fd.get()) != 0) return failure("fsync directory", path);
    return {};
  }

  Result<Duration> sync_file_system(const std::string& path) override {
    const auto start = std::chrono::steady_clock::now();
    const Descriptor fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (fd.get() < 0) return failure("open directory", path);
    if (::syncfs(fd.get()) != 0) return failure("sync file system of", path);
    return Duration(std::chrono::steady_clock::now() - start);
  }

  Result<std::vector<std::string>> list(const std::string& path) override {
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(path.c_str()), ::closedir);
    if (!directory) return failure("list", path);
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = ::readdir(directory.get())) {
      if (std::strcmp(entry->d_name, ".") != 0 && std::strcmp(entry->d_name, "..") != 0) {
        names.emplace_back(entry->d_name);
      }
      errno = 0;
    }
    if (errno != 0) return failure("list", path);
    std::sort(names.begin(), names.end());
    return names;
  }

  Result<FilePtr> make_memory_file() override {
    Descriptor fd(::memfd_create("krakend-blob", MFD_CLOEXEC));
    if (fd.get() < 0) return failure("create", "file in memory");
    return FilePtr(std::make_shared<PosixFile>(std::move(fd), "file in memory"));
  }

  Result<DiskSpace> space(const std::string& path) override {
    struct statvfs info {};
    if (::statvfs(path.c_str(), &info) != 0) return failure("stat file system of", path);
    return DiskSpace{uint64_t{info.f_blocks} * info.f_frsize,
                     uint64_t{info.f_blocks - info.f_bfree} * info.f_frsize,
                     uint64_t{info.f_bavail} * info.f_frsize};
  }
};

}  // namespace

std::unique_ptr<Disk> make_posix_disk() {
  return std::make_unique<PosixDisk>();
}

}  // namespace krakend::io
