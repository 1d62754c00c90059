#include "krakend/storage/blob_store.h"

#include "krakend/core/hex.h"
#include "krakend/io/system.h"
#include "support/catch.h"
#include "support/run.h"
#include "support/temp_dir.h"

using namespace krakend;
using namespace krakend::storage;
using krakend::test::run;

namespace {

struct Fixture {
  test::TempDir dir;
  io::Loop loop;
  std::unique_ptr<io::Disk> disk = io::make_posix_disk();
  std::unique_ptr<io::Random> random = io::make_system_random();
  std::unique_ptr<BlobStore> store = make();

  std::unique_ptr<BlobStore> make() {
    auto made = std::make_unique<BlobStore>(
        loop, *disk, *random, StoreOptions{dir / "cache", dir / "download", dir / "upload"}, Logger());
    REQUIRE(made->open_directories());
    return made;
  }

  Result<BlobPtr> put(const std::string& data, Digest digest, uint64_t piece_length = 5) {
    auto upload = run(loop, store->create_upload());
    REQUIRE(upload);
    REQUIRE((*upload)->writer(0)->write(as_bytes(data)));
    return run(loop, (*upload)->commit(digest, piece_length));
  }

  std::string read(const BlobPtr& blob) {
    std::string text(blob->size(), '\0');
    REQUIRE(blob->file()->read_at(0, std::as_writable_bytes(std::span<char>(text))));
    return text;
  }
};

}  // namespace

TEST_CASE("a committed upload is a blob with metainfo, also after reopening") {
  Fixture f;
  const auto digest = Digest::of("hello kraken");
  REQUIRE(f.put("hello kraken", digest));
  f.store = f.make();
  auto blob = run(f.loop, f.store->open(digest));
  REQUIRE(blob);
  CHECK(f.read(*blob) == "hello kraken");
  CHECK(run(f.loop, f.store->metainfo(digest))->info_hash().hex() ==
        "9c51c05e23292bbb5b84259161d306d167499a30");
  CHECK(f.put("hello kraken", digest).error().code == Errc::already_exists);
}

TEST_CASE("a wrong digest leaves nothing") {
  Fixture f;
  CHECK(f.put("hello", Digest::of("other")).error().code == Errc::corrupt);
  CHECK(run(f.loop, f.store->open(Digest::of("other"))).error().code == Errc::not_found);
  CHECK(f.disk->list(f.dir / "upload")->empty());
}

TEST_CASE("chunks out of order are hashed all the same") {
  Fixture f;
  auto upload = *run(f.loop, f.store->create_upload());
  REQUIRE(upload->writer(6)->write(as_bytes("kraken")));
  REQUIRE(upload->writer(0)->write(as_bytes("hello ")));
  CHECK(f.store->find_upload(upload->id()) == upload);
  CHECK(upload->size() == 12);
  CHECK(run(f.loop, upload->commit(Digest::of("hello kraken"), 5)));
  CHECK(f.store->find_upload(upload->id()) == nullptr);
}

TEST_CASE("a persisted blob cannot be removed") {
  Fixture f;
  const auto digest = Digest::of("x");
  REQUIRE(f.put("x", digest));
  REQUIRE(run(f.loop, f.store->set_persist(digest, true)));
  CHECK(*run(f.loop, f.store->persist(digest)));
  CHECK(run(f.loop, f.store->remove(digest)).error().code == Errc::conflict);
  REQUIRE(run(f.loop, f.store->set_persist(digest, false)));
  REQUIRE(run(f.loop, f.store->remove(digest)));
  CHECK(run(f.loop, f.store->remove(digest)).error().code == Errc::not_found);
}

TEST_CASE("a partial blob remembers its pieces and becomes a blob") {
  Fixture f;
  const std::string data = "hello kraken";
  const auto digest = Digest::of(data);
  const auto info = *MetaInfo::make(digest, 12, 5, {907060870, 439875091, 4082745666});
  {
    auto partial = *run(f.loop, f.store->open_partial(info));
    CHECK(run(f.loop, f.store->open_partial(info)).value() == partial);
    REQUIRE(partial->file()->write_at(5, as_bytes(" krak")));
    REQUIRE(run(f.loop, partial->mark(1)));
  }
  f.store = f.make();
  CHECK(run(f.loop, f.store->partial_metainfo(digest))->info_hash() == info.info_hash());
  auto partial = *run(f.loop, f.store->open_partial(info));
  CHECK(partial->have().count() == 1);
  CHECK(partial->have().test(1));
  REQUIRE(partial->file()->write_at(0, as_bytes(data)));
  REQUIRE(run(f.loop, partial->mark(0)));
  REQUIRE(run(f.loop, partial->mark(2)));
  auto blob = run(f.loop, partial->commit());
  REQUIRE(blob);
  CHECK(f.read(*blob) == data);
  CHECK(run(f.loop, f.store->open_partial(info)).error().code == Errc::already_exists);
}
