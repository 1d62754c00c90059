#include "storage/store_layout.h"

#include <algorithm>
#include <array>

#include "krakend/core/units.h"
#include "storage/access_time.h"

namespace krakend::storage {

std::string entry_dir(const std::string& root, const Digest& digest) {
  const auto hex = digest.hex();
  return fmt::format("{}/{}/{}/{}", root, hex.substr(0, 2), hex.substr(2, 2), hex);
}

std::string in_dir(const std::string& dir, std::string_view name) {
  return fmt::format("{}/{}", dir, name);
}

bool says_persist(std::string_view content) {
  static constexpr std::array<std::string_view, 6> no{"0", "f", "F", "FALSE", "false", "False"};
  return std::find(no.begin(), no.end(), content) == no.end();
}

namespace {

Result<void> copy_file(io::Disk& disk, const std::string& from, const std::string& to) {
  auto source = disk.open(from, io::OpenMode::read);
  if (!source) return propagate(source);
  auto target = disk.open(to, io::OpenMode::truncate);
  if (!target) return propagate(target);
  std::vector<std::byte> buffer(MiB);
  for (uint64_t at = 0;;) {
    auto got = (*source)->read_at(at, buffer);
    if (!got) return propagate(got);
    if (*got == 0) return (*target)->sync();
    if (auto put = (*target)->write_at(at, std::span(buffer).first(*got)); !put) return put;
    at += *got;
  }
}

/// To another file system: a copy beside the place, then a rename.
Result<void> carry_over(io::Disk& disk, const std::string& from, const std::string& to,
                        const std::string& incoming) {
  auto names = disk.list(from);
  if (!names) return propagate(names);
  const auto copy = in_dir(incoming, from.substr(from.rfind('/') + 1));
  if (auto made = disk.make_dirs(copy); !made) return made;
  for (const auto& name : *names) {
    if (auto copied = copy_file(disk, in_dir(from, name), in_dir(copy, name)); !copied) return copied;
  }
  if (auto synced = disk.sync_dir(copy); !synced) return synced;
  if (auto moved = disk.rename(copy, to); !moved) return moved;
  return disk.remove_all(from);
}

}  // namespace

Result<void> move_entry(io::Disk& disk, const std::string& from, const std::string& to) {
  if (disk.stat(in_dir(to, data_name))) return fail(Errc::already_exists, "{} exists", to);
  // What a crash left there has no data, so it is no entry.
  if (auto cleared = disk.remove_all(to); !cleared) return cleared;
  return disk.rename(from, to);
}

Result<void> publish_entry(io::Disk& disk, const std::string& from, const std::string& to,
                           const std::string& incoming) {
  const auto shard = io::parent_path(to);
  // The shard may be there and its name not be durable yet: whoever makes one for a small blob leaves that to
  // a later sync.
  const auto above = io::parent_path(shard);
  if (auto made = io::make_dirs_durably(disk, shard); !made) return made;
  for (const auto& dir : {io::parent_path(above), above, from}) {
    if (auto synced = disk.sync_dir(dir); !synced) return synced;
  }
  auto moved = move_entry(disk, from, to);
  const bool taken = !moved && moved.error().code == Errc::already_exists;
  if (!moved && !taken && !incoming.empty()) moved = carry_over(disk, from, to, incoming);
  if (!moved) return moved;
  return disk.sync_dir(shard);
}

namespace {

/// A directory that is not there, or no directory, has nothing in it.
Result<std::vector<std::string>> names_in(io::Disk& disk, const std::string& dir) {
  auto names = disk.list(dir);
  if (names) return names;
  const Errc code = names.error().code;
  if (auto what = disk.stat(dir); code == Errc::not_found || (what && !what->directory))
    return std::vector<std::string>();
  return names;
}

}  // namespace

Result<std::vector<Digest>> list_shard(io::Disk& disk, const std::string& root, unsigned first_byte) {
  std::vector<Digest> digests;
  const auto shard = in_dir(root, fmt::format("{:02x}", first_byte));
  auto inner = names_in(disk, shard);
  if (!inner) return propagate(inner);
  for (const auto& second : *inner) {
    auto names = names_in(disk, in_dir(shard, second));
    if (!names) return propagate(names);
    for (const auto& name : *names) {
      if (auto digest = Digest::parse_hex(name)) digests.push_back(*digest);
    }
  }
  return digests;
}

namespace {

/// The entries of a shard that have data; `accessed` tells when one was last used, from its directory and the
/// time of its data.
template <class Accessed>
Result<std::vector<BlobEntry>> scan_entries(io::Disk& disk, const std::string& root, unsigned first_byte,
                                            Accessed accessed) {
  auto digests = list_shard(disk, root, first_byte);
  if (!digests) return propagate(digests);
  std::vector<BlobEntry> found;
  for (const Digest& digest : *digests) {
    const auto dir = entry_dir(root, digest);
    const auto data = disk.stat(in_dir(dir, data_name));
    if (!data) continue;
    found.push_back({digest, data->size, data->modified, accessed(dir, data->modified)});
  }
  return found;
}

}  // namespace

Result<std::vector<BlobEntry>> scan_shard(io::Disk& disk, const std::string& root, unsigned first_byte) {
  return scan_entries(disk, root, first_byte, [&](const std::string& dir, auto modified) {
    const auto side = io::read_file(disk, in_dir(dir, access_time_name), 16);
    const auto accessed = side ? decode_access_time(*side) : std::nullopt;
    return accessed.value_or(modified);
  });
}

Result<std::vector<BlobEntry>> scan_partial_shard(io::Disk& disk, const std::string& root,
                                                  unsigned first_byte) {
  return scan_entries(disk, root, first_byte, [&](const std::string& dir, auto modified) {
    const auto status = disk.stat(in_dir(dir, status_name));
    return status ? status->modified : modified;
  });
}

Result<MetaInfo> read_metainfo(io::Disk& disk, const std::string& dir) {
  auto text = io::read_file(disk, in_dir(dir, metainfo_name), max_metainfo_size);
  if (!text) return propagate(text);
  return MetaInfo::parse(*text);
}

}  // namespace krakend::storage
