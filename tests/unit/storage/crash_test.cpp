#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>

#include "krakend/core/hash.h"
#include "krakend/core/units.h"
#include "support/memory_disk.h"
#include "unit/storage/blob_store_contract.h"

namespace krakend::test {
namespace {

class PowerWorld {
 public:
  io::Disk& disk() { return memory; }
  std::string directory() const { return "/data"; }
  MemoryDisk memory;
};

/// A store whose disk loses its power again and again, and what was acknowledged by it.
class Life {
 public:
  explicit Life(uint64_t seed) : random_(seed) {}

  void run_until_power_fails() {
    stage_.world.memory.break_after(random_.below(60));
    constexpr int most = 12;
    for (int i = 0; i < most; ++i) step();
    stage_.world.memory.lose_power(random_);
    stage_.store = stage_.make();
  }

  /// What was acknowledged is there, whole; what is there is whole; flags that were acknowledged stand.
  void check() {
    for (const auto& [digest, text] : texts_) {
      auto blob = run(stage_.loop, stage_.store->open(digest));
      if (!blob) {
        CHECK(blob.error().code == Errc::not_found);
        CHECK_FALSE(acknowledged_.contains(digest));
        flagged_.erase(digest);
        continue;
      }
      acknowledged_.insert(digest);
      CHECK(run(stage_.loop, (*blob)->check()));
      CHECK(stage_.read(*blob) == text);
      CHECK(run(stage_.loop, stage_.store->make_metainfo(digest, 5)));
      if (flagged_.contains(digest)) CHECK(*run(stage_.loop, stage_.store->persist(digest)));
    }
    CHECK(stage_.world.disk().list("/data/upload")->empty());
  }

 private:
  void step() {
    const std::string text =
        "blob " + std::to_string(random_.below(5)) + std::string(random_.below(2) * 30, 'x');
    const Digest digest = Digest::of(text);
    texts_[digest] = text;
    switch (random_.below(4)) {
      case 0:
        remove(digest);
        break;
      case 1:
        written_back(digest);
        break;
      default:
        upload(text, digest);
    }
  }

  void upload(const std::string& text, const Digest& digest) {
    auto upload = run(stage_.loop, stage_.store->create_upload());
    if (!upload) return;
    const size_t half = text.size() / 2;
    const auto begin = as_bytes(text).first(half);
    const auto rest = as_bytes(text).subspan(half);
    if (!(*upload)->writer(0)->write(begin) || !(*upload)->writer(half)->write(rest)) return;
    const bool persist = random_.below(2) == 0;
    auto committed = run(stage_.loop, (*upload)->commit(digest, 5, persist));
    if (!committed) return;
    acknowledged_.insert(digest);
    if (persist) flagged_.insert(digest);
  }

  void written_back(const Digest& digest) {
    // From now on either state is right.
    flagged_.erase(digest);
    (void)run(stage_.loop, stage_.store->set_persist(digest, false));
  }

  void remove(const Digest& digest) {
    auto removed = run(stage_.loop, stage_.store->remove(digest));
    const bool kept = !removed && removed.error().code == Errc::conflict;
    if (kept) return;
    if (flagged_.contains(digest) && acknowledged_.contains(digest)) CHECK_FALSE(removed);
    acknowledged_.erase(digest);
    flagged_.erase(digest);
  }

  StoreStage<PowerWorld> stage_;
  SeededRandom random_;
  std::map<Digest, std::string> texts_;
  std::set<Digest> acknowledged_;
  std::set<Digest> flagged_;
};

/// A download whose machine loses its power again and again.
class Download {
 public:
  explicit Download(uint64_t seed) : random_(seed) { boot(); }

  void run_until_power_fails() {
    stage_.world.memory.break_after(random_.below(40));
    if (const auto partial = open()) {
      for (int i = 0; i < 12; ++i) step(*partial);
    }
    stage_.world.memory.lose_power(random_);
    boot();
  }

  /// Whatever is claimed is in the file; returns how much that is.
  uint32_t check() {
    const auto partial = open();
    REQUIRE(partial);
    for (PieceIndex index = 0; index < info_.piece_count(); ++index) {
      if (!partial->have().test(index)) continue;
      std::string piece(info_.piece_size(index), '\0');
      REQUIRE(partial->file()->read_at(info_.piece_offset(index),
                                       std::as_writable_bytes(std::span<char>(piece))));
      CHECK(piece == text_.substr(info_.piece_offset(index), piece.size()));
    }
    return partial->have().count();
  }

 private:
  void boot() {
    stage_.boot_id = std::to_string(++boots_);
    stage_.store = stage_.make();
  }

  storage::PartialBlobPtr open() {
    auto partial = run(stage_.loop, stage_.store->open_partial(info_));
    return partial ? *partial : nullptr;
  }

  void step(storage::PartialBlob& partial) {
    const auto index = static_cast<PieceIndex>(random_.below(info_.piece_count()));
    switch (random_.below(8)) {
      case 0:
        (void)run(stage_.loop, partial.unmark({index}));
        break;
      case 1:
        (void)partial.file()->sync();
        break;
      default:
        const auto piece = text_.substr(info_.piece_offset(index), info_.piece_size(index));
        if (!partial.file()->write_at(info_.piece_offset(index), as_bytes(piece))) return;
        (void)run(stage_.loop, partial.mark({index}));
    }
  }

  static MetaInfo cut(const std::string& text) {
    std::vector<uint32_t> sums;
    for (size_t at = 0; at < text.size(); at += piece_length)
      sums.push_back(crc32(0, as_bytes(text).subspan(at, std::min(piece_length, text.size() - at))));
    return *MetaInfo::make(Digest::of(text), text.size(), piece_length, std::move(sums));
  }

  static constexpr size_t piece_length = 5;
  StoreStage<PowerWorld> stage_;
  SeededRandom random_;
  unsigned boots_ = 0;
  const std::string text_ = "what is claimed is on the disk";
  const MetaInfo info_ = cut(text_);
};

TEST_CASE("partial blob: what its bitmap claims after a power loss is on the disk") {
  const char* given = std::getenv("KRAKEND_SEED");
  const uint64_t first = given == nullptr ? 1 : std::strtoull(given, nullptr, 10);
  const uint64_t runs = given == nullptr ? 1000 : 1;
  uint64_t kept = 0;
  for (uint64_t seed = first; seed < first + runs; ++seed) {
    INFO("KRAKEND_SEED=" << seed);
    Download download(seed);
    for (int crash = 0; crash < 3; ++crash) {
      download.run_until_power_fails();
      kept += download.check();
    }
  }
  CHECK(kept > runs / 20);  // resuming is of use
}

TEST_CASE("blob store: nothing acknowledged is lost when the power fails, whatever was under way") {
  const char* given = std::getenv("KRAKEND_SEED");
  const uint64_t first = given == nullptr ? 1 : std::strtoull(given, nullptr, 10);
  const uint64_t runs = given == nullptr ? 1000 : 1;
  for (uint64_t seed = first; seed < first + runs; ++seed) {
    INFO("KRAKEND_SEED=" << seed);
    Life life(seed);
    for (int crash = 0; crash < 3; ++crash) {
      life.run_until_power_fails();
      life.check();
    }
  }
}

TEST_CASE("blob store: the directories above a large blob survive with it") {
  const std::string text(5 * MiB, 'x');
  const Digest digest = Digest::of(text);
  for (uint64_t seed = 1; seed <= 16; ++seed) {
    INFO("seed " << seed);
    SeededRandom random(seed);
    StoreStage<PowerWorld> stage;
    auto upload = *run(stage.loop, stage.store->create_upload());
    REQUIRE(upload->writer(0)->write(as_bytes(text)));
    REQUIRE(run(stage.loop, upload->commit(digest, 1 * MiB, true)));
    stage.world.memory.lose_power(random);
    stage.store = stage.make();
    CHECK(run(stage.loop, stage.store->open(digest)));
  }
}

}  // namespace
}  // namespace krakend::test
