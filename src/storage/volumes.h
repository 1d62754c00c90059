#pragma once

#include <array>
#include <string>
#include <vector>

#include "krakend/core/log.h"
#include "krakend/io/disk.h"
#include "krakend/storage/blob_store.h"

namespace krakend::storage {

/// Where the shards of the cache are when it has volumes: <cache_dir>/aa is a link to
/// <location>/<name of cache_dir>/aa, the location chosen by rendezvous hash. The reference names its links
/// in capitals and so moves only the shards of two decimal digits (contract core-formats §17.3); here all
/// move, and those that it moved are in the same place.
class Volumes {
 public:
  Volumes(std::vector<Volume> volumes, const std::string& cache_dir);

  bool empty() const { return volumes_.empty(); }
  /// Makes the links, and what they lead to. A shard that is a directory already stays one. invalid_argument:
  /// a location does not exist. Blocks.
  Result<void> link_shards(io::Disk& disk, const Logger& log) const;
  /// A directory on the file system of the shard, for entries on their way there; empty without volumes.
  std::string incoming(unsigned first_byte) const;
  size_t index_of(unsigned first_byte) const { return places_[first_byte]; }

 private:
  std::string base(size_t index) const;
  Result<void> link_shard(io::Disk& disk, unsigned first_byte, const Logger& log) const;

  const std::vector<Volume> volumes_;
  const std::string cache_dir_;
  std::string name_;
  std::array<size_t, BlobStore::shards> places_{};  ///< by shard: index of its volume
};

}  // namespace krakend::storage
