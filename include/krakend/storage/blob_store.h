#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "krakend/core/bitfield.h"
#include "krakend/core/digest.h"
#include "krakend/core/hash.h"
#include "krakend/core/log.h"
#include "krakend/core/metainfo.h"
#include "krakend/core/metrics.h"
#include "krakend/core/time.h"
#include "krakend/io/clock.h"
#include "krakend/io/content.h"
#include "krakend/io/disk.h"
#include "krakend/io/loop.h"
#include "krakend/io/random.h"
#include "krakend/io/task.h"
#include "krakend/io/task_group.h"

namespace krakend::storage {

/// YAML castore.memory_cache (contract backends-replication §18).
struct MemoryCacheOptions {
  bool enabled = false;
  uint64_t max_size = 0;           ///< bytes of all its blobs together
  unsigned drain_workers = 10;     ///< blobs that are put on disk at once
  unsigned drain_max_retries = 3;  ///< then a blob is given up: it can be fetched again
  Duration ttl = 5min;             ///< a blob that is still not on disk is not served from memory after this
  Duration ttl_interval = 1min;
};

/// YAML castore.volumes: another place for part of the cache (contract core-formats §17.3).
struct Volume {
  std::string location;  ///< a directory that exists
  unsigned weight = 0;   ///< its share among all volumes
  bool operator==(const Volume&) const = default;
};

/// Directories of one store, all on one file system, but for the volumes. Layout on disk: contract
/// core-formats §14–§17.
///   <cache_dir>/aa/bb/<hex>/{data,_torrentmeta,_status,_persist}   complete blobs
///   <download_dir>/aa/bb/<hex>/{data,_torrentmeta,_status}         partial blobs
///   <upload_dir>/<uuid>/{data,_owner}                              uploads; those without _owner are wiped
///   when the store opens
struct StoreOptions {
  std::string cache_dir;
  std::string download_dir;
  std::string upload_dir;
  /// Uploads at once; beyond: unavailable.
  size_t max_uploads = 10'000;
  /// Uploads that have an owner are there again when the store opens; otherwise they are wiped like all
  /// others.
  bool keep_owned_uploads = false;
  /// Names this run of the machine. Pieces of a partial blob that an earlier run of it noted, or one that has
  /// no name, are read and checked before they are believed: their bytes may not have reached the disk.
  std::string boot_id = {};
  MemoryCacheOptions memory_cache = {};
  /// Where given, the shards <cache_dir>/aa are links to directories on them, by rendezvous hash.
  std::vector<Volume> volumes = {};
};

/// A complete blob, open: its bytes stay readable for as long as this lives, even when it is removed
/// meanwhile. What was on disk before this process started is checked against the sums of its pieces before
/// ready() lets it be read; a blob that is damaged is removed from the store (corrupt).
class Blob final : public io::Content {
 public:
  ~Blob() override;
  const Digest& digest() const;
  uint64_t size() const override;
  io::FilePtr file() const override;
  Task<Result<uint64_t>> ready(uint64_t offset) override;
  /// The whole of it.
  Task<Result<void>> check();

  struct State;

 private:
  friend class BlobStore;
  explicit Blob(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};
using BlobPtr = std::shared_ptr<Blob>;

/// A complete blob as eviction sees it.
struct BlobEntry {
  Digest digest;
  uint64_t size = 0;
  std::chrono::system_clock::time_point modified;
  /// When it was last opened; when that is not known, as modified; the largest value: since the last
  /// write_access_times().
  std::chrono::system_clock::time_point accessed;
};

/// A file system that holds some of the blobs.
struct EvictionPlace {
  std::string directory;
  std::function<bool(const Digest&)> holds;
};

class BlobStore;

inline constexpr size_t owner_size_max = 1024;

/// A blob that is being written by a client. SHA-256 and piece sums are computed while the bytes pass, as
/// long as they come in order; otherwise commit reads the file once. Loop thread; one writer at a time (the
/// caller's duty).
class Upload {
 public:
  ~Upload();
  const std::string& id() const { return id_; }
  /// End of what has been written, in bytes.
  uint64_t size() const;
  /// What is being written; stays readable when the upload ends, whatever comes of it.
  io::FilePtr file() const;
  /// A sink that writes from `offset` on (gaps read as zeros). Use it for one transfer, then let it go. The
  /// upload must outlive it.
  std::unique_ptr<io::ByteSink> writer(uint64_t offset);
  /// The digest of all bytes so far.
  Task<Result<Digest>> digest();
  /// SHA-512 of all bytes so far; reads the file.
  Task<Result<ContentDigest>> sha512();
  /// Verifies that the bytes have digest `expected` (else corrupt: "computed digest … doesn't match expected
  /// value …"), stores metainfo with `piece_length` beside them, makes them durable and visible as a complete
  /// blob. already_exists when the store has it: the value of the error path is the same blob, open it. The
  /// upload is gone afterwards in every case.
  /// `persist`: with the flag that it is not written back yet.
  Task<Result<BlobPtr>> commit(Digest expected, uint64_t piece_length, bool persist = false);
  /// Removes the upload.
  Task<> discard();

 private:
  friend class BlobStore;
  struct State;
  explicit Upload(std::shared_ptr<State> state);
  std::string id_;
  std::shared_ptr<State> state_;
};
using UploadPtr = std::shared_ptr<Upload>;

/// An upload that an earlier run of the process began.
struct KeptUpload {
  UploadPtr upload;
  std::string owner;
  /// When it got its last byte.
  std::chrono::system_clock::time_point modified;
};

/// A blob that arrives in pieces. The file has its full length from the start; the bitmap survives a restart.
/// Loop thread.
class PartialBlob {
 public:
  ~PartialBlob();
  const MetaInfo& metainfo() const;
  const Bitfield& have() const;
  io::FilePtr file() const;
  /// The bytes of the pieces are in the file and match their sums: remembers it on disk, then in have().
  Task<Result<void>> mark(const std::vector<PieceIndex>& pieces);
  /// Forgets pieces (their bytes were found wrong).
  Task<Result<void>> unmark(const std::vector<PieceIndex>& pieces);
  /// All pieces are there and the whole was verified: durable, then visible as a complete blob with metainfo
  /// and bitmap beside it.
  Task<Result<BlobPtr>> commit();
  /// Deletes it from disk.
  Task<> discard();

 private:
  friend class BlobStore;
  struct State;
  explicit PartialBlob(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};
using PartialBlobPtr = std::shared_ptr<PartialBlob>;

/// Content-addressed blobs on local disk, shared by all roles of the process. Loop thread; all disk work
/// happens on the pool. One BlobStore per set of directories.
class BlobStore {
 public:
  BlobStore(io::Loop& loop, io::Disk& disk, io::Random& random, StoreOptions options, Logger log,
            const Metrics& metrics = {});
  ~BlobStore();

  /// Makes the directories, wipes uploads and reads those that are kept. The error names the directory and
  /// what to do. Blocks: before the loop runs.
  Result<void> open_directories();

  /// A complete blob; not_found.
  Task<Result<BlobPtr>> open(Digest digest);
  Task<Result<uint64_t>> size(Digest digest);
  /// not_found when the blob or its metainfo is missing.
  Task<Result<MetaInfo>> metainfo(Digest digest);
  /// Overwrites the metainfo of a complete blob with one of another piece length, reading the blob once.
  Task<Result<MetaInfo>> make_metainfo(Digest digest, uint64_t piece_length);
  /// conflict while the persist flag is set; not_found.
  Task<Result<void>> remove(Digest digest);
  /// The "not yet written back" flag (_persist) of a complete blob.
  Task<Result<void>> set_persist(Digest digest, bool persist);
  Task<Result<bool>> persist(Digest digest);
  /// Complete blobs are looked at in so many parts: by the first byte of their digest.
  static constexpr unsigned shards = 256;
  Task<Result<std::vector<BlobEntry>>> scan(unsigned shard);
  /// Those of a part that have the persist flag.
  Task<Result<std::vector<Digest>>> list_persistent(unsigned shard);
  /// Partial blobs in the same way; `accessed` is when they got their last piece.
  Task<Result<std::vector<BlobEntry>>> scan_partials(unsigned shard);
  /// As remove(), but a blob that is open, or that a guard keeps, stays: conflict.
  Task<Result<void>> evict(Digest digest);
  /// Whoever serves blobs from files of its own is asked before one is evicted: it lets go of the blob and
  /// says true, or keeps it.
  using EvictionGuard = std::function<bool(const Digest&)>;
  void add_eviction_guard(EvictionGuard guard);
  /// Remembers on disk, to 5 min, which blobs were opened since the last call; called now and then.
  Task<> write_access_times(std::chrono::system_clock::time_point now);
  /// Asked to free so many bytes when a blob does not fit; whether it freed any.
  using RoomMaker = std::function<Task<bool>(uint64_t)>;
  void set_room_maker(RoomMaker maker);
  /// The file systems that complete blobs are on: directory, and which blobs it holds.
  std::vector<EvictionPlace> places() const;
  /// Whether this process has stored or checked the blob; it may be gone since.
  bool knows(const Digest& digest) const;
  /// All complete blobs, in no order; 32 bytes of memory each.
  Task<Result<std::vector<Digest>>> list();
  /// Path of a complete blob's data, for backends that link instead of copying.
  std::string data_path(const Digest& digest) const;

  /// With an `owner`, a text of at most owner_size_max bytes that means something to the caller, the upload
  /// outlives the process.
  Task<Result<UploadPtr>> create_upload(std::string owner = {});
  /// An upload of at most `size` bytes that can be had again, into memory: once it is committed it can be
  /// read at once, and it is put on disk later. Null when the memory cache has no room for it.
  Task<Result<UploadPtr>> create_memory_upload(uint64_t size);
  /// Puts on disk what is in memory, until it is cancelled.
  Task<> drain_memory(io::Clock& clock, io::TaskGroup& tasks);
  /// What open_directories() found; once.
  std::vector<KeptUpload> take_kept_uploads();
  /// An upload of this process by its id.
  UploadPtr find_upload(std::string_view id) const;

  /// Opens or creates the partial blob for `info`. What an earlier run verified is still there, provided it
  /// was cut the same way. already_exists: the blob is complete; no_space: its bytes do not fit on the disk.
  Task<Result<PartialBlobPtr>> open_partial(const MetaInfo& info);
  /// Metainfo of a partial blob left by an earlier run; not_found.
  Task<Result<MetaInfo>> partial_metainfo(Digest digest);
  /// Drops a partial blob that no PartialBlob holds; nothing there is success.
  Task<Result<void>> remove_partial(Digest digest);
  /// As remove_partial(), but one that a PartialBlob holds is a conflict.
  Task<Result<void>> evict_partial(Digest digest);

 private:
  friend class Blob;
  friend class Upload;
  friend class PartialBlob;
  struct Impl;
  std::shared_ptr<Impl> impl_;
};

}  // namespace krakend::storage
