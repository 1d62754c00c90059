#include "unit/storage/blob_store_contract.h"

#include "krakend/core/units.h"
#include "krakend/io/system.h"
#include "support/memory_disk.h"
#include "support/temp_dir.h"

namespace krakend::test {
namespace {

class PosixWorld {
 public:
  io::Disk& disk() { return *disk_; }
  std::string directory() const { return dir_.path(); }

 private:
  TempDir dir_;
  std::unique_ptr<io::Disk> disk_ = io::make_posix_disk();
};

struct MemoryWorld {
  MemoryDisk memory;
  MemoryDisk& disk() { return memory; }
  std::string directory() const { return "/store"; }
};

TEST_CASE("blob store on a file system: uploads") {
  upload_contract<PosixWorld>();
}
TEST_CASE("blob store on a file system: uploads with an owner") {
  owned_upload_contract<PosixWorld>();
}
TEST_CASE("blob store on a file system: removal") {
  removal_contract<PosixWorld>();
}
TEST_CASE("blob store on a file system: partial blobs") {
  partial_contract<PosixWorld>();
  boot_contract<PosixWorld>();
}
TEST_CASE("blob store in memory: uploads") {
  upload_contract<MemoryWorld>();
}
TEST_CASE("blob store in memory: uploads with an owner") {
  owned_upload_contract<MemoryWorld>();
}
TEST_CASE("blob store in memory: removal") {
  removal_contract<MemoryWorld>();
}
TEST_CASE("blob store in memory: partial blobs") {
  partial_contract<MemoryWorld>();
  boot_contract<MemoryWorld>();
}

using Stage = StoreStage<MemoryWorld>;

const std::string content = "hello kraken";
const Digest content_digest = Digest::of(content);

/// Whole with metainfo, or not there at all: true when it is there.
bool whole_or_absent(Stage& stage) {
  auto blob = run(stage.loop, stage.store->open(content_digest));
  if (!blob) {
    CHECK(blob.error().code == Errc::not_found);
    return false;
  }
  CHECK(run(stage.loop, (*blob)->check()));
  CHECK(stage.read(*blob) == content);
  return true;
}

/// Runs `act` on a store whose disk breaks at each of its changes in turn and then loses its power; what
/// `act` said was done must be there after the restart, and nothing may ever be half there.
template <class Act>
void break_everywhere(Act act) {
  bool acknowledged = false;
  for (uint64_t step = 0; !acknowledged; ++step) {
    REQUIRE(step < 200);
    for (uint64_t seed = 0; seed < 16; ++seed) {
      INFO("the disk breaks after " << step << " changes, seed " << seed);
      Stage stage;
      SeededRandom random(seed);
      stage.world.memory.break_after(step);
      acknowledged = act(stage);
      stage.world.memory.lose_power(random);
      stage.store = stage.make();
      const bool there = whole_or_absent(stage);
      if (acknowledged) CHECK(there);
      // And the next try succeeds.
      if (!there) REQUIRE(stage.put(content, content_digest));
    }
  }
}

TEST_CASE("blob store: an upload that was acknowledged survives the loss of power, at every step") {
  break_everywhere([](Stage& stage) { return stage.put(content, content_digest).has_value(); });
}

TEST_CASE("blob store: a download that was committed survives the loss of power, at every step") {
  const auto info = *MetaInfo::make(content_digest, 12, 5, {907060870, 439875091, 4082745666});
  break_everywhere([&](Stage& stage) {
    auto partial = run(stage.loop, stage.store->open_partial(info));
    if (!partial || !(*partial)->file()->write_at(0, as_bytes(content))) return false;
    for (PieceIndex index = 0; index < info.piece_count(); ++index) {
      if (!run(stage.loop, (*partial)->mark({index}))) return false;
    }
    return run(stage.loop, (*partial)->commit()).has_value();
  });
}

TEST_CASE("blob store: a disk that runs full at any byte leaves nothing behind") {
  Stage empty;
  const auto before = empty.world.memory.space("/")->available;
  bool fits = false;
  for (uint64_t room = 0; !fits; ++room) {
    REQUIRE(room < 1000);
    INFO(room << " bytes are free");
    Stage stage;
    stage.world.memory.set_capacity(room);
    const auto stored = stage.put(content, content_digest);
    fits = stored.has_value();
    CHECK(whole_or_absent(stage) == fits);
    if (fits) continue;
    CHECK(stored.error().code == Errc::no_space);
    CHECK(stage.world.memory.list("/store/upload")->empty());
    stage.world.memory.set_capacity(before);
    CHECK(stage.world.memory.space("/")->available == before);
  }
}

TEST_CASE("blob store: a large portion that could not be written does not count for the digest") {
  Stage stage;
  const std::string portion(256 * 1024, 'k');
  const auto upload = *run(stage.loop, stage.store->create_upload());
  const auto before = stage.world.memory.space("/")->available;
  stage.world.memory.set_capacity(1024);
  CHECK_FALSE(upload->writer(0)->write(as_bytes(portion)));
  stage.world.memory.set_capacity(before);
  REQUIRE(upload->writer(0)->write(as_bytes(portion)));
  CHECK(run(stage.loop, upload->commit(Digest::of(portion), 4 << 20)));
}

TEST_CASE("blob store: what was uploaded in order is not read again, whatever the length of pieces") {
  for (const uint64_t piece_length : {256 * KiB, MiB, 4 * MiB}) {
    Stage stage;
    const std::string data(2'500'000, 'k');
    const auto upload = *run(stage.loop, stage.store->create_upload());
    REQUIRE(upload->writer(0)->write(as_bytes(data)));
    // Behind the upload's back: whoever read the file would see it.
    REQUIRE(upload->file()->write_at(0, as_bytes("x")));
    REQUIRE(run(stage.loop, upload->commit(Digest::of(data), piece_length)));
    PieceSummer summer(piece_length);
    summer.update(as_bytes(data));
    CHECK(run(stage.loop, stage.store->metainfo(Digest::of(data)))->piece_sums() == summer.take());
  }
}

TEST_CASE(
    "blob store: a download that does not fit is refused before its first byte, and says how much is "
    "needed") {
  Stage stage;
  stage.world.memory.set_capacity(11);
  const auto info = *MetaInfo::make(content_digest, 12, 5, {907060870, 439875091, 4082745666});
  const auto partial = run(stage.loop, stage.store->open_partial(info));
  REQUIRE_FALSE(partial);
  CHECK(partial.error().code == Errc::no_space);
  CHECK(partial.error().message.find("12 bytes") != std::string::npos);
  CHECK(stage.world.memory.space("/")->available == 11);
}

/// A blob of three pieces that was there before the process started.
struct Damaged : Stage {
  Damaged() {
    REQUIRE(put(content, content_digest, 5));
    store = make();
  }
  std::string side(const std::string& name) {
    return io::parent_path(store->data_path(content_digest)) + "/" + name;
  }
  void write(const std::string& name, const std::string& bytes) {
    REQUIRE(io::write_file(world.disk(), side(name), bytes));
  }
  BlobPtr open() {
    auto blob = run(loop, store->open(content_digest));
    REQUIRE(blob);
    return *blob;
  }
  bool there() { return run(loop, store->size(content_digest)).has_value(); }
};

TEST_CASE("a blob from before the start is checked piece by piece before it is read") {
  Damaged s;
  auto blob = s.open();
  CHECK(*run(s.loop, blob->ready(0)) == 5);
  CHECK(*run(s.loop, blob->ready(7)) == 10);
  CHECK(*run(s.loop, blob->ready(11)) == 12);
  CHECK(*run(s.loop, blob->ready(0)) == 12);
  CHECK(run(s.loop, s.open()->check()));
}

TEST_CASE("bytes that have changed on disk are not read, and the blob goes") {
  Damaged s;
  std::string bytes = content;
  bytes[7] ^= 1;
  s.write("data", bytes);
  auto blob = s.open();
  CHECK(*run(s.loop, blob->ready(0)) == 5);
  const auto bad = run(s.loop, blob->ready(5));
  REQUIRE_FALSE(bad);
  CHECK(bad.error().code == Errc::corrupt);
  CHECK(bad.error().message.find("piece 1 of 3") != std::string::npos);
  CHECK_FALSE(s.there());
  CHECK(s.put(content, content_digest, 5));
  CHECK(run(s.loop, s.open()->check()));
}

TEST_CASE("a blob that lost its end goes") {
  Damaged s;
  s.write("data", content.substr(0, 9));
  SECTION("asked for its beginning") {
    CHECK(run(s.loop, s.open()->ready(0)).error().code == Errc::corrupt);
  }
  SECTION("asked for what it lost") {
    CHECK(run(s.loop, s.open()->ready(10)).error().code == Errc::corrupt);
  }
  CHECK_FALSE(s.there());
}

TEST_CASE("side files that are torn do no harm: the digest decides") {
  Damaged s;
  s.write("_torrentmeta", "{\"Info\":");
  SECTION("good bytes") {
    CHECK(run(s.loop, s.open()->check()));
    CHECK(run(s.loop, s.store->make_metainfo(content_digest, 5)));
    CHECK(run(s.loop, s.store->metainfo(content_digest)));
  }
  SECTION("bad bytes") {
    s.write("data", std::string(content.size(), 'x'));
    CHECK(run(s.loop, s.open()->check()).error().code == Errc::corrupt);
    CHECK_FALSE(s.there());
  }
  SECTION("bad bytes when the metainfo is made anew") {
    s.write("data", std::string(content.size(), 'x'));
    CHECK(run(s.loop, s.store->make_metainfo(content_digest, 5)).error().code == Errc::corrupt);
    CHECK_FALSE(s.there());
  }
}

}  // namespace
}  // namespace krakend::test
