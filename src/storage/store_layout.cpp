#include "storage/store_layout.h"

namespace krakend::storage {

std::string entry_dir(const std::string& root, const Digest& digest) {
  const auto hex = digest.hex();
  return fmt::format("{}/{}/{}/{}", root, hex.substr(0, 2), hex.substr(2, 2), hex);
}

std::string in_dir(const std::string& dir, std::string_view name) {
  return fmt::format("{}/{}", dir, name);
}

Result<void> publish_entry(io::Disk& disk, const std::string& from, const std::string& to) {
  const auto shard = io::parent_path(to);
  if (auto made = io::make_dirs_durably(disk, shard); !made) return made;
  if (disk.stat(in_dir(to, data_name))) return fail(Errc::already_exists, "{} exists", to);
  // What a crash left there has no data, so it is no entry.
  if (auto cleared = disk.remove_all(to); !cleared) return cleared;
  if (auto synced = disk.sync_dir(from); !synced) return synced;
  if (auto moved = disk.rename(from, to); !moved) return moved;
  return disk.sync_dir(shard);
}

Result<MetaInfo> read_metainfo(io::Disk& disk, const std::string& dir) {
  auto text = io::read_file(disk, in_dir(dir, metainfo_name), max_metainfo_size);
  if (!text) return propagate(text);
  return MetaInfo::parse(*text);
}

}  // namespace krakend::storage
