#include "krakend/storage/evictor.h"

#include <filesystem>

#include "krakend/io/system.h"
#include "storage/access_time.h"
#include "support/fake_clock.h"
#include "support/take.h"
#include "support/temp_dir.h"
#include "unit/storage/blob_store_contract.h"

namespace krakend::test {
namespace {

using storage::EvictionOptions;
using storage::Evictor;

/// A disk that says how full it is.
class GaugedDisk final : public io::Disk {
 public:
  Result<io::FilePtr> open(const std::string& path, io::OpenMode mode) override {
    return disk_->open(path, mode);
  }
  Result<io::FileStat> stat(const std::string& path) override { return disk_->stat(path); }
  Result<void> rename(const std::string& from, const std::string& to) override {
    return disk_->rename(from, to);
  }
  Result<void> hard_link(const std::string& from, const std::string& to) override {
    return disk_->hard_link(from, to);
  }
  Result<void> remove(const std::string& path) override { return disk_->remove(path); }
  Result<void> remove_all(const std::string& path) override { return disk_->remove_all(path); }
  Result<void> make_dirs(const std::string& path) override { return disk_->make_dirs(path); }
  Result<void> sync_dir(const std::string& path) override { return disk_->sync_dir(path); }
  Result<Duration> sync_file_system(const std::string& path) override {
    return disk_->sync_file_system(path);
  }
  Result<std::vector<std::string>> list(const std::string& path) override { return disk_->list(path); }
  Result<void> soft_link(const std::string& target, const std::string& path) override {
    return disk_->soft_link(target, path);
  }
  Result<std::string> read_link(const std::string& path) override { return disk_->read_link(path); }
  Result<io::FilePtr> make_memory_file() override { return disk_->make_memory_file(); }
  Result<io::DiskSpace> space(const std::string& /*path*/) override { return gauge; }

  io::DiskSpace gauge{1000, 500, 500};

 private:
  std::unique_ptr<io::Disk> disk_ = io::make_posix_disk();
};

class GaugedWorld {
 public:
  GaugedDisk& disk() { return disk_; }
  std::string directory() const { return dir_.path(); }

 private:
  TempDir dir_;
  GaugedDisk disk_;
};

struct Stage : StoreStage<GaugedWorld> {
  FakeClock clock;
  EvictionOptions options;

  Stage() { clock.advance(24h * 365 * 60); }
  /// A blob of 100 bytes that was last read, and written, so long ago.
  Digest blob(const std::string& name, Duration unread, Duration age) {
    const std::string text = name + std::string(100 - name.size(), '.');
    const Digest digest = Digest::of(text);
    REQUIRE(put(text, digest, 50));
    const std::string path = store->data_path(digest);
    std::filesystem::last_write_time(path, std::chrono::file_clock::from_sys(clock.wall() - age));
    run(loop, store->write_access_times(clock.wall()));
    const auto at = std::chrono::floor<std::chrono::seconds>(clock.wall() - unread);
    take(io::write_file(world.disk(), io::parent_path(path) + "/_last_access_time",
                        storage::encode_access_time(at)));
    return digest;
  }
  bool has(const Digest& digest) { return run(loop, store->size(digest)).has_value(); }
  Evictor evictor() {
    const auto all = [](const Digest&) { return true; };
    return Evictor({loop, clock, world.disk(), *store}, options, {{dir, all}}, Logger());
  }
};

TEST_CASE("blobs go that are too old or were not read for too long") {
  Stage s;
  s.options.tti = 6h;
  s.options.ttl = 48h;
  const Digest fresh = s.blob("fresh", 1h, 47h);
  const Digest idle = s.blob("idle", 7h, 8h);
  const Digest old = s.blob("old", 1h, 49h);
  const Digest kept = s.blob("kept", 100h, 100h);
  REQUIRE(run(s.loop, s.store->set_persist(kept, true)));
  const Digest open = s.blob("open", 100h, 100h);
  auto blob = *run(s.loop, s.store->open(open));
  run(s.loop, s.store->write_access_times(s.clock.wall() - 100h));
  auto evictor = s.evictor();
  const auto report = *run(s.loop, evictor.sweep());
  CHECK(report.blobs == 5);
  CHECK(report.evicted == 2);
  CHECK(report.evicted_bytes == 200);
  CHECK(s.has(fresh));
  CHECK_FALSE(s.has(idle));
  CHECK_FALSE(s.has(old));
  CHECK(s.has(kept));
  CHECK(s.has(open));
  blob.reset();
  CHECK(run(s.loop, evictor.sweep())->evicted == 1);
}

TEST_CASE("beyond the number of blobs that a store may have the least recently used go") {
  Stage s;
  s.options.capacity = 2;
  const Digest a = s.blob("a", 1h, 5h);
  const Digest b = s.blob("b", 3h, 5h);
  const Digest c = s.blob("c", 2h, 5h);
  auto evictor = s.evictor();
  CHECK(run(s.loop, evictor.sweep())->evicted == 1);
  CHECK(s.has(a));
  CHECK_FALSE(s.has(b));
  CHECK(s.has(c));
}

TEST_CASE("beyond the bytes that the store may have the least recently used go") {
  Stage s;
  s.options.disabled = true;  // ages do not count, the budget does
  const Digest a = s.blob("a", 1h, 50h);
  const Digest b = s.blob("b", 3h, 50h);
  const Digest c = s.blob("c", 2h, 50h);
  auto unlimited = s.evictor();
  const auto all = run(s.loop, unlimited.sweep());
  REQUIRE(all->evicted == 0);
  s.options.bytes_max = all->bytes - 1;
  auto evictor = s.evictor();
  CHECK(run(s.loop, evictor.sweep())->evicted == 1);
  CHECK(s.has(a));
  CHECK_FALSE(s.has(b));
  CHECK(s.has(c));
}

TEST_CASE("a partial blob that nobody goes on with goes; one that is being downloaded stays") {
  Stage s;
  const auto info = *MetaInfo::make(Digest::of("partial"), 7, 7, {1});
  auto partial = take(run(s.loop, s.store->open_partial(info)));
  s.options.partial_tti = 6h;
  const std::string hex = info.digest().hex();
  const std::string entry = s.dir + "/download/" + hex.substr(0, 2) + "/" + hex.substr(2, 2) + "/" + hex;
  for (const char* name : {"/data", "/_status"})
    std::filesystem::last_write_time(entry + name, std::chrono::file_clock::from_sys(s.clock.wall() - 7h));
  auto evictor = s.evictor();
  REQUIRE(run(s.loop, evictor.sweep()));
  CHECK(run(s.loop, s.store->partial_metainfo(info.digest())));
  partial.reset();
  s.options.partial_disabled = true;
  REQUIRE(run(s.loop, s.evictor().sweep()));
  CHECK(run(s.loop, s.store->partial_metainfo(info.digest())));
  s.options.partial_disabled = false;
  REQUIRE(run(s.loop, s.evictor().sweep()));
  CHECK_FALSE(run(s.loop, s.store->partial_metainfo(info.digest())));
}

TEST_CASE("a blob that is read stays") {
  Stage s;
  const Digest read = s.blob("read", 7h, 8h);
  REQUIRE(run(s.loop, s.store->open(read)));
  auto evictor = s.evictor();
  CHECK(run(s.loop, evictor.sweep())->evicted == 0);
  run(s.loop, s.store->write_access_times(s.clock.wall()));
  s.store = s.make();
  auto again = s.evictor();
  CHECK(run(s.loop, again.sweep())->evicted == 0);
  s.clock.advance(7h);
  CHECK(run(s.loop, again.sweep())->evicted == 1);
}

TEST_CASE("when the disk is too full the least recently used go, as many as it takes") {
  Stage s;
  s.world.disk().gauge = {2000, 1900, 100};  // 95 %: to 80 % it is 300 bytes
  const Digest a = s.blob("a", 1h, 100h);
  const Digest b = s.blob("b", 2h, 100h);
  const Digest c = s.blob("c", 30h, 100h);
  const Digest d = s.blob("d", 40h, 41h);
  const Digest e = s.blob("e", 50h, 100h);
  auto evictor = s.evictor();
  CHECK(run(s.loop, evictor.make_room())->evicted == 3);
  CHECK(s.has(a));
  CHECK(s.has(b));
  CHECK_FALSE(s.has(c));
  CHECK_FALSE(s.has(d));
  CHECK_FALSE(s.has(e));
  s.world.disk().gauge = {2000, 1800, 200};  // 90 %: not above the mark
  CHECK(run(s.loop, evictor.make_room())->evicted == 0);
}

TEST_CASE("the reference's aggressive keys") {
  Stage s;
  s.world.disk().gauge = {1000, 700, 300};
  s.options.aggressive_threshold = 70;
  const Digest a = s.blob("a", 10min, 2h);
  const Digest b = s.blob("b", 5min, 30min);
  SECTION("a shorter ttl") {
    auto evictor = s.evictor();
    CHECK(run(s.loop, evictor.make_room())->evicted == 0);
    CHECK(run(s.loop, evictor.sweep())->evicted == 1);
    CHECK_FALSE(s.has(a));
  }
  SECTION("down to the lower threshold") {
    s.options.aggressive_lower_threshold = 60;
    auto evictor = s.evictor();
    CHECK(run(s.loop, evictor.make_room())->evicted == 1);
    CHECK_FALSE(s.has(a));
    CHECK(s.has(b));
  }
}

TEST_CASE("the cut of a histogram frees enough, and little more") {
  storage::AgeHistogram histogram;
  for (int hours = 1; hours <= 100; ++hours) histogram.add(1h * hours, 10);
  CHECK(histogram.cutoff(2000) == 0s);
  const Duration cut = histogram.cutoff(300);
  CHECK(cut <= 71h);
  CHECK(cut >= 60h);
  CHECK(storage::AgeHistogram().cutoff(1) == 0s);
}

TEST_CASE("access times as the reference writes them") {
  const auto at = [](int64_t seconds) {
    return std::chrono::system_clock::time_point(std::chrono::seconds(seconds));
  };
  const auto bytes = [](std::initializer_list<int> list) { return std::string(list.begin(), list.end()); };
  CHECK(storage::encode_access_time(at(0)) == bytes({0, 0, 0, 0, 0, 0, 0, 0}));
  CHECK(storage::encode_access_time(at(1)) == bytes({2, 0, 0, 0, 0, 0, 0, 0}));
  CHECK(storage::encode_access_time(at(1700000000)) == bytes({0x80, 0xc4, 0x9f, 0xd5, 0x0c, 0, 0, 0}));
  CHECK(storage::encode_access_time(at(1735689600)) == bytes({0x80, 0x96, 0xa4, 0xf7, 0x0c, 0, 0, 0}));
  for (const int64_t seconds : {int64_t{0}, int64_t{1}, int64_t{-1}, int64_t{1700000000}, int64_t{1} << 32}) {
    CHECK(storage::decode_access_time(storage::encode_access_time(at(seconds))) == at(seconds));
  }
  CHECK_FALSE(storage::decode_access_time(""));
  CHECK_FALSE(storage::decode_access_time(std::string(8, '\x80')));
}

}  // namespace
}  // namespace krakend::test
