#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "krakend/core/digest.h"
#include "krakend/io/disk.h"
#include "krakend/storage/blob_store.h"

namespace krakend::storage {

// File names inside an entry directory (contract core-formats §14, §16).
inline constexpr std::string_view data_name = "data";
inline constexpr std::string_view metainfo_name = "_torrentmeta";
inline constexpr std::string_view status_name = "_status";
inline constexpr std::string_view persist_name = "_persist";
/// Content of a _persist file: whatever does not say no. A crash may leave it empty.
bool says_persist(std::string_view content);
inline constexpr std::string_view access_time_name = "_last_access_time";
/// In the directory of a partial blob only: the run of the machine whose pieces it claims.
inline constexpr std::string_view boot_name = "_boot";
/// In the directory of an upload only.
inline constexpr std::string_view owner_name = "_owner";

/// Values of a byte of _status.
inline constexpr char piece_missing = '\0';
inline constexpr char piece_complete = '\1';

/// Largest _torrentmeta that is read: max_pieces sums in decimal, with room to spare.
inline constexpr uint64_t max_metainfo_size = 4 * 1024 * 1024;

/// <root>/aa/bb/<hex>
std::string entry_dir(const std::string& root, const Digest& digest);
std::string in_dir(const std::string& dir, std::string_view name);

/// Moves a finished entry directory to its place and makes that durable. already_exists: something is there.
/// `incoming`, where the place may be on another file system than `from`, is a directory there. Pool.
Result<void> publish_entry(io::Disk& disk, const std::string& from, const std::string& to,
                           const std::string& incoming);
/// The rename alone: the entry has to be durable before, and its new place after. Pool.
Result<void> move_entry(io::Disk& disk, const std::string& from, const std::string& to);
/// Partial entries: accessed is when their last piece was noted. Pool.
Result<std::vector<BlobEntry>> scan_partial_shard(io::Disk& disk, const std::string& root,
                                                  unsigned first_byte);
/// Digests of the entries below `root` that begin with this byte. Pool.
Result<std::vector<Digest>> list_shard(io::Disk& disk, const std::string& root, unsigned first_byte);
/// What eviction has to know of them. Pool.
Result<std::vector<BlobEntry>> scan_shard(io::Disk& disk, const std::string& root, unsigned first_byte);
Result<MetaInfo> read_metainfo(io::Disk& disk, const std::string& dir);

}  // namespace krakend::storage
