#include <unistd.h>

#include <algorithm>

#include "krakend/core/hex.h"
#include "krakend/core/units.h"
#include "krakend/io/content.h"
#include "krakend/io/disk.h"

namespace krakend::io {

namespace {

constexpr uint64_t range_buffer = 64 * KiB;

}  // namespace

Result<void> read_range(File& file, uint64_t offset, uint64_t end,
                        const std::function<Result<void>(std::span<const std::byte>)>& fn) {
  std::vector<std::byte> buffer(static_cast<size_t>(std::min(range_buffer, end - std::min(offset, end))));
  while (offset < end) {
    const auto want = static_cast<size_t>(std::min<uint64_t>(buffer.size(), end - offset));
    auto got = file.read_at(offset, std::span(buffer).first(want));
    if (!got) return propagate(got);
    if (*got == 0) return fail(Errc::io, "file ends at {} of {} bytes", offset, end);
    if (auto taken = fn(std::span<const std::byte>(buffer).first(*got)); !taken) return taken;
    offset += *got;
  }
  return {};
}

Result<void> File::hash(Sha256& sha, uint64_t offset, uint64_t end) {
  return read_range(*this, offset, end, [&sha](auto part) {
    sha.update(part);
    return Result<void>{};
  });
}

Result<void> ByteSink::write_from(File& file, uint64_t offset, uint64_t length) {
  return read_range(file, offset, offset + length, [this](auto part) { return write(part); });
}

Result<std::string> read_file(Disk& disk, const std::string& path, uint64_t limit) {
  auto file = disk.open(path, OpenMode::read);
  if (!file) return propagate(file);
  auto size = (*file)->size();
  if (!size) return propagate(size);
  if (*size > limit) return fail(Errc::too_large, "{} has {} bytes, the limit is {}", path, *size, limit);
  std::string content(static_cast<size_t>(*size), '\0');
  auto got = (*file)->read_at(0, std::as_writable_bytes(std::span<char>(content)));
  if (!got) return propagate(got);
  content.resize(*got);
  return content;
}

Result<void> write_file(Disk& disk, const std::string& path, std::string_view content) {
  auto file = disk.open(path, OpenMode::truncate);
  if (!file) return propagate(file);
  return (*file)->write_at(0, as_bytes(content));
}

Result<void> write_file_synced(Disk& disk, const std::string& path, std::string_view content) {
  auto file = disk.open(path, OpenMode::truncate);
  if (!file) return propagate(file);
  auto done = (*file)->write_at(0, as_bytes(content));
  if (done) done = (*file)->sync();
  return done;
}

Result<void> write_file_durably(Disk& disk, const std::string& path, std::string_view content) {
  // Two threads that write the same file each have a temporary of their own: the later rename wins.
  const auto temporary = fmt::format("{}.tmp.{}", path, ::gettid());
  auto done = write_file_synced(disk, temporary, content);
  if (done) done = disk.rename(temporary, path);
  if (!done) {
    static_cast<void>(disk.remove(temporary));  // the first failure is the one to tell
    return done;
  }
  return disk.sync_dir(parent_path(path));
}

Result<void> make_dirs_durably(Disk& disk, const std::string& dir) {
  if (auto there = disk.stat(dir); there && there->directory) return {};
  const auto parent = parent_path(dir);
  if (parent != dir && parent != ".") {
    if (auto made = make_dirs_durably(disk, parent); !made) return made;
  }
  if (auto made = disk.make_dirs(dir); !made) return made;
  return disk.sync_dir(parent);
}

std::string parent_path(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace krakend::io
