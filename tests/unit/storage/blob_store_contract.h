#pragma once

#include <algorithm>
#include <vector>

#include "krakend/core/hex.h"
#include "krakend/storage/blob_store.h"
#include "support/catch.h"
#include "support/run.h"
#include "support/seeded_random.h"

// What a BlobStore does on whatever disk. A world has `io::Disk& disk()` and `std::string directory()`, an
// existing empty directory of it.

namespace krakend::test {

using storage::BlobPtr;
using storage::BlobStore;

/// A store on a world's disk; make() is a restart of the process.
template <class World>
struct StoreStage {
  World world;
  io::Loop loop;
  SeededRandom random{1};
  std::string dir = world.directory();
  bool keep_owned_uploads = true;
  std::string boot_id = {};
  std::unique_ptr<BlobStore> store = make();

  std::unique_ptr<BlobStore> make() {
    auto made = std::make_unique<BlobStore>(loop, world.disk(), random,
                                            storage::StoreOptions{.cache_dir = dir + "/cache",
                                                                  .download_dir = dir + "/download",
                                                                  .upload_dir = dir + "/upload",
                                                                  .keep_owned_uploads = keep_owned_uploads,
                                                                  .boot_id = boot_id},
                                            Logger());
    const auto opened = made->open_directories();
    INFO((opened ? std::string() : opened.error().message));
    REQUIRE(opened);
    return made;
  }

  Result<BlobPtr> put(const std::string& data, Digest digest, uint64_t piece_length = 5) {
    auto upload = run(loop, store->create_upload());
    if (!upload) return propagate(upload);
    auto written = (*upload)->writer(0)->write(as_bytes(data));
    if (!written) {
      run(loop, (*upload)->discard());
      return propagate(written);
    }
    return run(loop, (*upload)->commit(digest, piece_length));
  }

  std::string read(const BlobPtr& blob) {
    std::string text(blob->size(), '\0');
    REQUIRE(blob->file()->read_at(0, std::as_writable_bytes(std::span<char>(text))));
    return text;
  }
};

template <class World>
void upload_contract() {
  StoreStage<World> f;
  SECTION("a committed upload is a blob with metainfo, also after reopening") {
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
  SECTION("a wrong digest leaves nothing") {
    CHECK(f.put("hello", Digest::of("other")).error().code == Errc::corrupt);
    CHECK(run(f.loop, f.store->open(Digest::of("other"))).error().code == Errc::not_found);
    CHECK(f.world.disk().list(f.dir + "/upload")->empty());
  }
  SECTION("chunks out of order are hashed all the same") {
    auto upload = *run(f.loop, f.store->create_upload());
    REQUIRE(upload->writer(6)->write(as_bytes("kraken")));
    REQUIRE(upload->writer(0)->write(as_bytes("hello ")));
    CHECK(f.store->find_upload(upload->id()) == upload);
    CHECK(upload->size() == 12);
    CHECK(run(f.loop, upload->commit(Digest::of("hello kraken"), 5)));
    CHECK(f.store->find_upload(upload->id()) == nullptr);
  }
  SECTION("an upload that was not committed is gone after a restart") {
    auto upload = *run(f.loop, f.store->create_upload());
    REQUIRE(upload->writer(0)->write(as_bytes("hello")));
    f.store = f.make();
    CHECK(f.store->find_upload(upload->id()) == nullptr);
    CHECK(f.world.disk().list(f.dir + "/upload")->empty());
  }
  SECTION("all blobs are listed, unfinished ones are not") {
    CHECK(run(f.loop, f.store->list())->empty());
    REQUIRE(f.put("a", Digest::of("a")));
    REQUIRE(f.put("b", Digest::of("b")));
    (void)*run(f.loop, f.store->create_upload());
    auto listed = *run(f.loop, f.store->list());
    std::sort(listed.begin(), listed.end());
    std::vector<Digest> all{Digest::of("a"), Digest::of("b")};
    std::sort(all.begin(), all.end());
    CHECK(listed == all);
  }
  SECTION("an empty blob is a blob") {
    REQUIRE(f.put("", Digest::of("")));
    CHECK(*run(f.loop, f.store->size(Digest::of(""))) == 0);
  }
}

template <class World>
void owned_upload_contract() {
  StoreStage<World> f;
  SECTION("an upload with an owner is there after a restart") {
    auto upload = *run(f.loop, f.store->create_upload("lib/a"));
    REQUIRE(upload->writer(0)->write(as_bytes("hello ")));
    f.store = f.make();
    auto kept = f.store->take_kept_uploads();
    REQUIRE(kept.size() == 1);
    CHECK(f.store->take_kept_uploads().empty());
    CHECK(kept[0].owner == "lib/a");
    CHECK(kept[0].upload->id() == upload->id());
    CHECK(f.store->find_upload(upload->id()) == kept[0].upload);
    CHECK(kept[0].upload->size() == 6);
    REQUIRE(kept[0].upload->writer(6)->write(as_bytes("kraken")));
    const auto digest = Digest::of("hello kraken");
    REQUIRE(run(f.loop, kept[0].upload->commit(digest, 5)));
    CHECK(run(f.loop, f.store->metainfo(digest))->piece_count() == 3);
    CHECK(f.world.disk().list(f.dir + "/upload")->empty());
    CHECK(f.world.disk().stat(io::parent_path(f.store->data_path(digest)) + "/_owner").error().code ==
          Errc::not_found);
    f.store = f.make();
    CHECK(f.store->take_kept_uploads().empty());
  }
  SECTION("an upload with an owner goes where nobody would go on with it") {
    (void)*run(f.loop, f.store->create_upload("lib/a"));
    f.keep_owned_uploads = false;
    f.store = f.make();
    CHECK(f.store->take_kept_uploads().empty());
    CHECK(f.world.disk().list(f.dir + "/upload")->empty());
  }
}

template <class World>
void removal_contract() {
  StoreStage<World> f;
  SECTION("a persisted blob cannot be removed") {
    const auto digest = Digest::of("x");
    REQUIRE(f.put("x", digest));
    REQUIRE(run(f.loop, f.store->set_persist(digest, true)));
    CHECK(*run(f.loop, f.store->persist(digest)));
    CHECK(run(f.loop, f.store->remove(digest)).error().code == Errc::conflict);
    REQUIRE(run(f.loop, f.store->set_persist(digest, false)));
    REQUIRE(run(f.loop, f.store->remove(digest)));
    CHECK(run(f.loop, f.store->remove(digest)).error().code == Errc::not_found);
  }
  SECTION("an open blob stays readable when it is removed") {
    const auto digest = Digest::of("hello");
    auto blob = f.put("hello", digest);
    REQUIRE(blob);
    REQUIRE(run(f.loop, f.store->remove(digest)));
    CHECK(f.read(*blob) == "hello");
    CHECK(run(f.loop, f.store->open(digest)).error().code == Errc::not_found);
    REQUIRE(f.put("hello", digest));
  }
}

template <class World>
void partial_contract() {
  StoreStage<World> f;
  const std::string data = "hello kraken";
  const auto digest = Digest::of(data);
  const auto info = *MetaInfo::make(digest, 12, 5, {907060870, 439875091, 4082745666});
  SECTION("a partial blob remembers its pieces and becomes a blob") {
    {
      auto partial = *run(f.loop, f.store->open_partial(info));
      CHECK(run(f.loop, f.store->open_partial(info)).value() == partial);
      REQUIRE(partial->file()->write_at(5, as_bytes(" krak")));
      REQUIRE(run(f.loop, partial->mark({1})));
    }
    f.store = f.make();
    CHECK(run(f.loop, f.store->partial_metainfo(digest))->info_hash() == info.info_hash());
    auto partial = *run(f.loop, f.store->open_partial(info));
    CHECK(partial->have().count() == 1);
    CHECK(partial->have().test(1));
    REQUIRE(partial->file()->write_at(0, as_bytes(data)));
    REQUIRE(run(f.loop, partial->mark({0})));
    REQUIRE(run(f.loop, partial->mark({2})));
    auto blob = run(f.loop, partial->commit());
    REQUIRE(blob);
    CHECK(f.read(*blob) == data);
    CHECK(run(f.loop, f.store->open_partial(info)).error().code == Errc::already_exists);
  }
  SECTION("a partial blob that was cut otherwise begins anew") {
    {
      auto partial = *run(f.loop, f.store->open_partial(info));
      REQUIRE(run(f.loop, partial->mark({1})));
    }
    const auto other = *MetaInfo::make(digest, 12, 6, {1, 2});
    auto partial = *run(f.loop, f.store->open_partial(other));
    CHECK(partial->have().count() == 0);
  }
  SECTION("pieces found wrong are forgotten, also after a restart") {
    {
      auto partial = *run(f.loop, f.store->open_partial(info));
      REQUIRE(partial->file()->write_at(0, as_bytes(data)));
      REQUIRE(run(f.loop, partial->mark({0})));
      REQUIRE(run(f.loop, partial->mark({1})));
      REQUIRE(run(f.loop, partial->unmark({0})));
      CHECK(partial->have().count() == 1);
    }
    f.store = f.make();
    auto partial = *run(f.loop, f.store->open_partial(info));
    CHECK(partial->have().test(1));
    CHECK(partial->have().count() == 1);
  }
  SECTION("a discarded partial blob leaves nothing") {
    auto partial = *run(f.loop, f.store->open_partial(info));
    run(f.loop, partial->discard());
    CHECK(run(f.loop, f.store->partial_metainfo(digest)).error().code == Errc::not_found);
    CHECK(run(f.loop, f.store->open(digest)).error().code == Errc::not_found);
  }
}

/// Claims of another run of the machine are checked, those of this one are believed.
template <class World>
void boot_contract() {
  StoreStage<World> f;
  const std::string data = "hello kraken";
  const auto digest = Digest::of(data);
  const auto info = *MetaInfo::make(digest, 12, 5, {907060870, 439875091, 4082745666});
  f.boot_id = "one";
  f.store = f.make();
  {
    auto partial = *run(f.loop, f.store->open_partial(info));
    REQUIRE(partial->file()->write_at(0, as_bytes(data)));
    for (PieceIndex index = 0; index < 3; ++index) REQUIRE(run(f.loop, partial->mark({index})));
    REQUIRE(partial->file()->write_at(5, as_bytes("#")));
  }
  f.store = f.make();
  CHECK((*run(f.loop, f.store->open_partial(info)))->have().count() == 3);
  f.boot_id = "two";
  f.store = f.make();
  {
    auto partial = *run(f.loop, f.store->open_partial(info));
    CHECK(partial->have().count() == 2);
    CHECK_FALSE(partial->have().test(1));
  }
  f.store = f.make();
  CHECK((*run(f.loop, f.store->open_partial(info)))->have().count() == 2);
}

}  // namespace krakend::test
