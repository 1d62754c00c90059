#include <filesystem>

#include "krakend/io/system.h"
#include "storage/volumes.h"
#include "support/take.h"
#include "support/temp_dir.h"
#include "unit/storage/blob_store_contract.h"

namespace krakend::test {
namespace {

namespace fs = std::filesystem;
using storage::Volume;
using storage::Volumes;

TEST_CASE("shards are on the volumes where the reference puts them") {
  // Contract core-formats §17.3: 00, 0A and FF.
  const Volumes volumes({{"/data1", 100}, {"/data2", 100}, {"/data3", 200}}, "/x/cache/");
  CHECK(volumes.incoming(0x00) == "/data2/cache/incoming");
  CHECK(volumes.incoming(0x0a) == "/data1/cache/incoming");
  CHECK(volumes.incoming(0xff) == "/data3/cache/incoming");
}

struct Stage {
  TempDir dir;
  io::Loop loop;
  SeededRandom random{1};
  std::unique_ptr<io::Disk> disk = io::make_posix_disk();
  std::unique_ptr<BlobStore> store;
  storage::StoreOptions options{
      .cache_dir = dir / "cache", .download_dir = dir / "download", .upload_dir = dir / "upload"};

  Result<void> open() {
    store = std::make_unique<BlobStore>(loop, *disk, random, options, Logger());
    return store->open_directories();
  }
  Digest put(const std::string& text) {
    auto upload = take(run(loop, store->create_upload()));
    take(upload->writer(0)->write(as_bytes(text)));
    return take(run(loop, upload->commit(Digest::of(text), 4)))->digest();
  }
};

TEST_CASE("blobs lie on volumes, on other file systems too, and are found again") {
  Stage s;
  // /dev/shm is a file system of its own wherever there is one.
  const fs::path other = fs::path("/dev/shm") / ("krakend-volume-" + s.random.uuid4());
  fs::create_directories(other);
  fs::create_directories(s.dir / "near");
  s.options.volumes = {{s.dir / "near", 1}, {other.string(), 1}};
  take(s.open());
  std::vector<Digest> all;
  for (int i = 0; i < 20; ++i) all.push_back(s.put("blob " + std::to_string(i)));
  size_t there = 0;
  for (const auto& entry : fs::recursive_directory_iterator(other))
    there += entry.path().filename() == "data";
  CHECK(there > 0);
  CHECK(there < all.size());
  CHECK(fs::is_empty(other / "cache" / "incoming"));
  take(s.open());
  for (const Digest& digest : all) {
    auto blob = take(run(s.loop, s.store->open(digest)));
    CHECK(run(s.loop, blob->check()));
  }
  CHECK(take(run(s.loop, s.store->list())).size() == all.size());
  CHECK(s.store->places().size() == 2);
  for (const Digest& digest : all) take(run(s.loop, s.store->remove(digest)));
  CHECK(take(run(s.loop, s.store->list())).empty());
  fs::remove_all(other);
}

TEST_CASE("a volume that does not exist is an error that names it") {
  Stage s;
  s.options.volumes = {{s.dir / "nowhere", 1}};
  auto opened = s.open();
  REQUIRE_FALSE(opened);
  CHECK(opened.error().message.find("nowhere") != std::string::npos);
}

TEST_CASE("shards that hold blobs already stay where they are") {
  Stage s;
  take(s.open());
  const Digest digest = s.put("old");
  fs::create_directories(s.dir / "near");
  s.options.volumes = {{s.dir / "near", 1}};
  take(s.open());
  CHECK(run(s.loop, s.store->size(digest)));
  CHECK(run(s.loop, s.store->open(s.put("new"))));
}

}  // namespace
}  // namespace krakend::test
