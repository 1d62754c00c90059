#pragma once

#include <map>
#include <string>
#include <vector>

#include "krakend/io/disk.h"

namespace krakend::daemon {

/// Files in memory, as far as configuration needs them: whole files to read.
class TextDisk final : public io::Disk {
 public:
  explicit TextDisk(std::map<std::string, std::string> files) : files_(std::move(files)) {}

  Result<io::FilePtr> open(const std::string& path, io::OpenMode) override {
    const auto it = files_.find(path);
    if (it == files_.end()) return fail(Errc::not_found, "open {}: no such file", path);
    return std::make_shared<TextFile>(it->second);
  }
  Result<io::FileStat> stat(const std::string& path) override {
    const auto it = files_.find(path);
    if (it == files_.end()) return fail(Errc::not_found, "stat {}: no such file", path);
    return io::FileStat{it->second.size(), false, {}};
  }
  Result<void> rename(const std::string&, const std::string&) override { return refuse(); }
  Result<void> hard_link(const std::string&, const std::string&) override { return refuse(); }
  Result<void> soft_link(const std::string&, const std::string&) override { return refuse(); }
  Result<std::string> read_link(const std::string&) override { return refuse(); }
  Result<io::FilePtr> make_memory_file() override { return refuse(); }
  Result<void> remove(const std::string&) override { return refuse(); }
  Result<void> remove_all(const std::string&) override { return refuse(); }
  Result<void> make_dirs(const std::string&) override { return refuse(); }
  Result<void> sync_dir(const std::string&) override { return refuse(); }
  Result<Duration> sync_file_system(const std::string&) override { return refuse(); }
  Result<std::vector<std::string>> list(const std::string&) override { return std::vector<std::string>(); }
  Result<io::DiskSpace> space(const std::string&) override { return io::DiskSpace{}; }

 private:
  class TextFile final : public io::File {
   public:
    explicit TextFile(std::string text) : text_(std::move(text)) {}
    Result<size_t> read_at(uint64_t offset, std::span<std::byte> out) override {
      if (offset >= text_.size()) return size_t{0};
      const size_t count = std::min<size_t>(out.size(), text_.size() - offset);
      std::memcpy(out.data(), text_.data() + offset, count);
      return count;
    }
    Result<void> write_at(uint64_t, std::span<const std::byte>) override { return refuse(); }
    Result<void> allocate(uint64_t) override { return refuse(); }
    Result<void> truncate(uint64_t) override { return refuse(); }
    Result<void> sync() override { return {}; }
    Result<uint64_t> size() override { return text_.size(); }
    int descriptor() const override { return -1; }

   private:
    std::string text_;
  };
  static tl::unexpected<Error> refuse() { return fail(Errc::io, "read only"); }

  std::map<std::string, std::string> files_;
};

}  // namespace krakend::daemon
