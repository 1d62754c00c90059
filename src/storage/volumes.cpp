#include "storage/volumes.h"

#include "krakend/core/rendezvous.h"
#include "storage/store_layout.h"

namespace krakend::storage {
namespace {

std::string without_slashes(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

}  // namespace

Volumes::Volumes(std::vector<Volume> volumes, const std::string& cache_dir)
    : volumes_(std::move(volumes)), cache_dir_(without_slashes(cache_dir)) {
  name_ = cache_dir_.substr(cache_dir_.rfind('/') + 1);
  if (empty()) return;
  std::vector<RendezvousNode> nodes;
  for (const Volume& volume : volumes_) nodes.push_back({volume.location, static_cast<int>(volume.weight)});
  for (unsigned shard = 0; shard < places_.size(); ++shard)
    places_[shard] = rendezvous_order(fmt::format("{:02x}", shard), nodes).front();
}

std::string Volumes::base(size_t index) const {
  return in_dir(without_slashes(volumes_[index].location), name_);
}

std::string Volumes::incoming(unsigned first_byte) const {
  return empty() ? std::string() : in_dir(base(index_of(first_byte)), "incoming");
}

Result<void> Volumes::link_shards(io::Disk& disk, const Logger& log) const {
  for (size_t index = 0; index < volumes_.size(); ++index) {
    const std::string& location = volumes_[index].location;
    if (auto there = disk.stat(location); !there || !there->directory) {
      return fail(Errc::invalid_argument, "volume {} is not a directory that exists: mount or make it first",
                  location);
    }
    if (auto wiped = disk.remove_all(in_dir(base(index), "incoming")); !wiped) return wiped;
    if (auto made = io::make_dirs_durably(disk, in_dir(base(index), "incoming")); !made) return made;
  }
  for (unsigned shard = 0; !empty() && shard < BlobStore::shards; ++shard) {
    if (auto linked = link_shard(disk, shard, log); !linked) return linked;
  }
  return {};
}

Result<void> Volumes::link_shard(io::Disk& disk, unsigned first_byte, const Logger& log) const {
  const std::string shard = fmt::format("{:02x}", first_byte);
  const std::string target = in_dir(base(index_of(first_byte)), shard);
  const std::string path = in_dir(cache_dir_, shard);
  if (auto made = io::make_dirs_durably(disk, target); !made) return made;
  auto link = disk.read_link(path);
  if (link && *link == target) return {};
  if (link) {
    log.warn("{} leads to {} no more, but to {}: what is there is not found any more", path, *link, target);
    if (auto removed = disk.remove(path); !removed) return removed;
  } else if (disk.stat(path)) {
    log.info("{} is a directory and stays one: it is not on a volume", path);
    return {};
  }
  return disk.soft_link(target, path);
}

}  // namespace krakend::storage
