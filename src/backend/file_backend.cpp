#include <algorithm>
#include <atomic>

#include "krakend/backend/backend.h"
#include "krakend/core/units.h"

namespace krakend::backend {
namespace {

constexpr std::string_view temporary_dir = ".tmp";

/// Feeds a file from `offset` on into a sink. Pool.
Result<void> copy_out(io::File& file, uint64_t offset, io::ByteSink& sink) {
  std::vector<std::byte> buffer(MiB);
  while (true) {
    auto got = file.read_at(offset, buffer);
    if (!got) return propagate(got);
    if (*got == 0) return {};
    if (auto taken = sink.write(std::span(buffer).first(*got)); !taken) return taken;
    offset += *got;
  }
}

class FileWriter final : public io::ByteSink {
 public:
  explicit FileWriter(io::FilePtr file) : file_(std::move(file)) {}
  Result<void> write(std::span<const std::byte> data) override {
    auto written = file_->write_at(offset_, data);
    offset_ += data.size();
    return written;
  }

 private:
  io::FilePtr file_;
  uint64_t offset_ = 0;
};

class FileBackend final : public Backend {
 public:
  FileBackend(io::Loop& loop, io::Disk& disk, std::unique_ptr<NamePath> names)
      : loop_(loop), disk_(disk), names_(std::move(names)) {}

  Task<Result<uint64_t>> stat(std::string name) override {
    co_return co_await loop_.offload([&]() -> Result<uint64_t> {
      auto path = names_->path(name);
      if (!path) return propagate(path);
      auto info = disk_.stat(*path);
      if (!info) return propagate(info);
      if (info->directory) return fail(Errc::not_found, "{} is not stored", name);
      return info->size;
    });
  }

  Task<Result<void>> download(std::string name, uint64_t offset, io::ByteSink& sink) override {
    co_return co_await loop_.offload([&]() -> Result<void> {
      auto path = names_->path(name);
      if (!path) return propagate(path);
      auto file = disk_.open(*path, io::OpenMode::read);
      if (!file) return propagate(file);
      return copy_out(**file, offset, sink);
    });
  }

  Task<Result<void>> upload(std::string name, io::FilePtr file, std::string path) override {
    co_return co_await loop_.offload([&] {
      return place(name, [&](const std::string& temporary) -> Result<void> {
        // The content is never modified in place, so both names may share it.
        if (!path.empty() && disk_.hard_link(path, temporary)) return {};
        auto copy = disk_.open(temporary, io::OpenMode::truncate);
        if (!copy) return propagate(copy);
        FileWriter writer(*copy);
        if (auto copied = copy_out(*file, 0, writer); !copied) return copied;
        return (*copy)->sync();
      });
    });
  }

  Task<Result<std::string>> get(std::string name, uint64_t limit) override {
    co_return co_await loop_.offload([&]() -> Result<std::string> {
      auto path = names_->path(name);
      if (!path) return propagate(path);
      return io::read_file(disk_, *path, limit);
    });
  }

  Task<Result<void>> put(std::string name, std::string content) override {
    co_return co_await loop_.offload([&] {
      return place(name, [&](const std::string& temporary) {
        return io::write_file_synced(disk_, temporary, content);
      });
    });
  }

  Task<Result<void>> remove(std::string name) override {
    co_return co_await loop_.offload([&]() -> Result<void> {
      auto path = names_->path(name);
      if (!path) return propagate(path);
      if (auto removed = disk_.remove(*path); !removed) return removed;
      if (auto synced = disk_.sync_dir(io::parent_path(*path)); !synced) return synced;
      remove_empty_dirs(io::parent_path(*path));
      return {};
    });
  }

  Task<Result<std::vector<std::string>>> list(std::string prefix) override {
    co_return co_await loop_.offload([&]() -> Result<std::vector<std::string>> {
      while (prefix.starts_with('/')) prefix.erase(0, 1);
      while (prefix.ends_with('/')) prefix.pop_back();
      if ((prefix + "/").find("../") != std::string::npos) {
        return fail(Errc::invalid_argument, "\"{}\" is not a valid prefix", prefix);
      }
      std::vector<std::string> names;
      auto walked = walk(prefix.empty() ? names_->base() : names_->base() + "/" + prefix, names);
      if (!walked) return propagate(walked);
      std::sort(names.begin(), names.end());
      return names;
    });
  }

 private:
  /// Pool.
  void remove_empty_dirs(std::string dir) {
    while (dir.size() > names_->base().size() && disk_.remove(dir)) dir = io::parent_path(dir);
  }

  /// Pool: `fill` makes a temporary file, which then takes the object's name for good.
  template <class Fill>
  Result<void> place(const std::string& name, Fill fill) {
    auto path = names_->path(name);
    if (!path) return propagate(path);
    const auto dir = io::parent_path(*path);
    const auto temporary_parent = fmt::format("{}/{}", names_->base(), temporary_dir);
    const auto temporary = fmt::format("{}/{}", temporary_parent, counter_.fetch_add(1));
    if (auto made = io::make_dirs_durably(disk_, temporary_parent); !made) return made;
    if (auto made = io::make_dirs_durably(disk_, dir); !made) return made;
    (void)disk_.remove(temporary);
    const auto filled = fill(temporary);
    auto done = filled ? disk_.rename(temporary, *path) : filled;
    if (filled && !done && done.error().code == Errc::not_found) {
      // A removal has taken the directory away again as an empty one.
      if (auto made = io::make_dirs_durably(disk_, dir); made) done = disk_.rename(temporary, *path);
    }
    // Renaming one of two links to the same file onto the other leaves both: the temporary one goes here.
    (void)disk_.remove(temporary);
    if (!done) return done;
    return disk_.sync_dir(dir);
  }

  Result<void> walk(const std::string& dir, std::vector<std::string>& names) {
    auto entries = disk_.list(dir);
    if (!entries && entries.error().code == Errc::not_found) return {};
    if (!entries) return propagate(entries);
    for (const auto& entry : *entries) {
      if (entry == temporary_dir) continue;
      const auto path = dir + "/" + entry;
      auto info = disk_.stat(path);
      if (!info) continue;  // removed meanwhile
      if (info->directory) {
        if (auto walked = walk(path, names); !walked) return walked;
      } else if (auto name = names_->name(path)) {
        names.push_back(std::move(*name));
      }
    }
    return {};
  }

  io::Loop& loop_;
  io::Disk& disk_;
  std::unique_ptr<NamePath> names_;
  std::atomic<uint64_t> counter_{0};
};

}  // namespace

BackendPtr make_file_backend(io::Loop& loop, io::Disk& disk, std::unique_ptr<NamePath> name_path) {
  return std::make_shared<FileBackend>(loop, disk, std::move(name_path));
}

}  // namespace krakend::backend
