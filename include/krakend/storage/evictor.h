#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "krakend/core/log.h"
#include "krakend/core/metrics.h"
#include "krakend/io/clock.h"
#include "krakend/io/condition.h"
#include "krakend/io/disk.h"
#include "krakend/storage/blob_store.h"

namespace krakend::storage {

/// YAML `cache_cleanup` (contract core-formats §18), and krakend's own watermarks. Shares of the file system
/// that the cache directory is on, in percent.
struct EvictionOptions {
  /// Of what tti and ttl say; the watermarks hold all the same.
  bool disabled = false;
  /// Between two looks at all blobs.
  Duration interval = 30min;
  /// A blob that nobody has read for this long goes; 0: never for that reason.
  Duration tti = 6h;
  /// A blob that is older goes; 0: never for that reason.
  Duration ttl{0};
  /// From this use of the disk on `aggressive_ttl` is the ttl, or, where aggressive_lower_threshold is set,
  /// the least recently used blobs go until the use is below that; 0: off.
  unsigned aggressive_threshold = 0;
  Duration aggressive_ttl = 1h;
  unsigned aggressive_lower_threshold = 0;
  /// When the disk is fuller than `disk_high` the least recently used blobs go until it is below `disk_low`;
  /// 100: off.
  unsigned disk_high = 90;
  unsigned disk_low = 80;
  /// Blobs; beyond, the least recently used go with the next look at all; 0: no limit.
  uint64_t capacity = 1'048'576;
  /// Bytes of complete blobs; beyond, the least recently used go with the next look at all, which comes every
  /// minute then; 0: only the disk's use counts.
  uint64_t bytes_max = 0;
  /// What partial blobs may be left alone, and how old they may get: as for complete ones.
  bool partial_disabled = false;
  Duration partial_tti = 6h;
  Duration partial_ttl{0};
};

/// How much lies how long unread: from it follows how old a blob has to be for enough to go, without a list
/// of all.
class AgeHistogram {
 public:
  void add(Duration age, uint64_t bytes);
  /// The least age such that the blobs of at least this age have `bytes` together; zero when all have less.
  Duration cutoff(uint64_t bytes) const;

 private:
  /// By the length of the age in seconds, in steps of an eighth of a power of two.
  static size_t bucket(Duration age);
  static Duration least_age(size_t bucket);
  std::array<uint64_t, 512> bytes_{};
};

/// Removes blobs from a store by age, by the time nobody has read them, and when the disk gets full: never
/// one that is open, being seeded, or not written back yet. Loop thread; the disk work is done in short steps
/// on the pool.
class Evictor {
 public:
  struct Services {
    io::Loop& loop;
    io::Clock& clock;
    io::Disk& disk;
    BlobStore& store;
  };
  /// The first place is the one that free() makes room on.
  Evictor(Services services, EvictionOptions options, std::vector<EvictionPlace> places, Logger log,
          const Metrics& metrics = {});

  /// Until it is cancelled.
  Task<> run();
  /// Other rules from now on.
  void configure(const EvictionOptions& options) { options_ = options; }

  struct Report {
    uint64_t blobs = 0;
    uint64_t bytes = 0;
    uint64_t evicted = 0;
    uint64_t evicted_bytes = 0;
  };
  /// Frees `bytes`, by the least recently used blobs, whatever the disk's use; whether it freed any.
  Task<bool> free(uint64_t bytes);
  /// One look at all blobs for tti, ttl and capacity, and at all partial ones.
  Task<Result<Report>> sweep();
  /// Makes room when the disk is fuller than it should be.
  Task<Result<Report>> make_room();

 private:
  struct DiskUse {
    uint64_t total = 0;    ///< bytes that blobs can have
    unsigned percent = 0;  ///< of them in use
  };
  using Decide = std::function<bool(const BlobEntry&)>;
  /// Shows every blob to `decide`, and evicts those that it says true of.
  Task<Result<Report>> evict_if(Decide decide);
  /// The least recently used ones of those that `weigh` gives a weight, until they have `weight` together.
  using Weigh = std::function<uint64_t(const BlobEntry&)>;
  Task<Result<Report>> evict_least_used(uint64_t weight, Weigh weigh);
  Task<Result<Report>> evict_bytes(const EvictionPlace& place, uint64_t bytes);
  Task<Result<Report>> make_room_at(const EvictionPlace& place);
  Task<Result<DiskUse>> disk_use(const EvictionPlace& place);
  Task<Result<void>> sweep_partials();
  void tell(const char* why, const Report& report) const;

  Services services_;
  EvictionOptions options_;
  const std::vector<EvictionPlace> places_;
  Logger log_;
  Counter evicted_;
  Counter evicted_bytes_;
  Counter aggressive_;
  Gauge cached_bytes_;
  bool busy_ = false;
  io::Condition idle_;
};

}  // namespace krakend::storage
