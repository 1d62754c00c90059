#include "krakend/io/system.h"
#include "support/memory_disk.h"
#include "support/take.h"
#include "unit/storage/blob_store_contract.h"

namespace krakend::test {
namespace {

using storage::UploadPtr;

struct Stage {
  MemoryDisk disk;
  io::Loop loop;
  std::unique_ptr<io::Clock> clock = io::make_system_clock(loop);
  SeededRandom random{1};
  Metrics metrics;
  io::TaskGroup tasks{loop, Logger()};
  storage::MemoryCacheOptions memory{true, 100, 2, 1, 5min, 1min};
  std::unique_ptr<BlobStore> store;

  void open() {
    store = std::make_unique<BlobStore>(loop, disk, random,
                                        storage::StoreOptions{.cache_dir = "/cache",
                                                              .download_dir = "/download",
                                                              .upload_dir = "/upload",
                                                              .memory_cache = memory},
                                        Logger(), metrics);
    take(store->open_directories());
  }
  UploadPtr upload(uint64_t size) { return take(run(loop, store->create_memory_upload(size))); }
  BlobPtr put(const std::string& text) {
    const UploadPtr upload = this->upload(text.size());
    REQUIRE(upload);
    take(upload->writer(0)->write(as_bytes(text)));
    return take(run(loop, upload->commit(Digest::of(text), 4)));
  }
  bool on_disk(const std::string& text) { return disk.stat(store->data_path(Digest::of(text))).has_value(); }
  /// Runs the drain until `done`.
  void drain_until(std::function<bool()> done) {
    tasks.spawn(store->drain_memory(*clock, tasks), "drain");
    run(loop, wait_for(std::move(done)));
  }
  Task<> wait_for(std::function<bool()> done) {
    while (!done()) co_await clock->sleep(1ms);
  }
  double number(const std::string& name) {
    const std::string text = metrics.text();
    const size_t at = text.find("\nkrakend_" + name + " ");
    return at == std::string::npos ? -1 : std::stod(text.substr(text.find(' ', at)));
  }
  ~Stage() { run(loop, tasks.stop()); }
};

TEST_CASE("a blob in memory can be read at once, and is put on disk later") {
  Stage s;
  s.open();
  const std::string text = "hello kraken";
  const BlobPtr blob = s.put(text);
  CHECK_FALSE(s.on_disk(text));
  CHECK(take(run(s.loop, s.store->size(blob->digest()))) == text.size());
  CHECK(take(run(s.loop, s.store->metainfo(blob->digest()))).piece_length() == 4);
  std::string read(text.size(), '\0');
  REQUIRE(blob->file()->read_at(0, std::as_writable_bytes(std::span<char>(read))));
  CHECK(read == text);
  CHECK(s.number("memory_cache_bytes") == 12);
  CHECK(s.number("memory_cache_entries_added_total") == 1);
  CHECK(s.number("memory_cache_hits_total") >= 2);
  s.drain_until([&] { return s.on_disk(text); });
  CHECK(take(run(s.loop, s.store->metainfo(blob->digest()))).piece_length() == 4);
}

TEST_CASE("the room in memory is bounded, and given back with the last reader") {
  Stage s;
  s.open();
  CHECK_FALSE(s.upload(101));
  const std::string text(60, 'a');
  BlobPtr blob = s.put(text);
  CHECK_FALSE(s.upload(41));
  CHECK(s.number("memory_cache_reserve_failures_total") == 2);
  s.drain_until([&] { return s.on_disk(text); });
  CHECK_FALSE(s.upload(41));
  blob.reset();
  s.drain_until([&] { return s.number("memory_cache_bytes") == 0; });
  CHECK(s.upload(41));
}

TEST_CASE("bytes of another digest do not get into memory") {
  Stage s;
  s.open();
  const UploadPtr upload = s.upload(5);
  take(upload->writer(0)->write(as_bytes("hello")));
  CHECK(run(s.loop, upload->commit(Digest::of("other"), 4)).error().code == Errc::corrupt);
  CHECK_FALSE(run(s.loop, s.store->size(Digest::of("other"))));
}

TEST_CASE("a blob in memory that has to stay is put on disk first") {
  Stage s;
  s.open();
  const BlobPtr blob = s.put("keep me");
  take(run(s.loop, s.store->set_persist(blob->digest(), true)));
  CHECK(s.on_disk("keep me"));
  CHECK(take(run(s.loop, s.store->persist(blob->digest()))));
}

TEST_CASE("a disk that refuses is tried again, then the blob is given up") {
  Stage s;
  s.open();
  (void)s.put("unlucky");
  s.disk.break_after(0);
  s.drain_until([&] { return s.number("memory_cache_drain_errors_total") == 1; });
  CHECK_FALSE(run(s.loop, s.store->size(Digest::of("unlucky"))));
}

TEST_CASE("without the switch nothing is kept in memory") {
  Stage s;
  s.memory.enabled = false;
  s.open();
  CHECK_FALSE(s.upload(1));
  CHECK(s.number("memory_cache_reserve_failures_total") == 0);
}

}  // namespace
}  // namespace krakend::test
