#include "support/memory_disk.h"

#include "unit/io/disk_contract.h"

// The disk that other tests break on purpose does what a disk must do.

namespace krakend::test {
namespace {

class World {
 public:
  World() { take(disk_.make_dirs(directory())); }
  io::Disk& disk() { return disk_; }
  std::string directory() const { return "/dir"; }

 private:
  MemoryDisk disk_;
};

TEST_CASE("memory disk: files") {
  file_contract<World>();
}
TEST_CASE("memory disk: opening") {
  open_contract<World>();
}
TEST_CASE("memory disk: names") {
  names_contract<World>();
}
TEST_CASE("memory disk: helpers") {
  helper_contract<World>();
}

TEST_CASE("memory disk: a durable file survives every loss of power, another one need not") {
  bool kept = false, lost = false;
  for (uint64_t seed = 0; seed < 32; ++seed) {
    SeededRandom random(seed);
    MemoryDisk disk;
    take(io::make_dirs_durably(disk, "/dir"));
    take(io::write_file_durably(disk, "/dir/durable", "abc"));
    take(io::write_file(disk, "/dir/file", "abc"));
    disk.lose_power(random);
    INFO("seed " << seed);
    CHECK(text_of(disk, "/dir/durable") == "abc");
    (io::read_file(disk, "/dir/file", 10) == std::string("abc") ? kept : lost) = true;
  }
  CHECK(kept);
  CHECK(lost);
}

TEST_CASE("memory disk: a file that was not synced may be torn at its sectors") {
  constexpr size_t sector = 4096;
  const std::string before(4 * sector, 'a');
  const std::string now(6 * sector, 'b');
  bool torn = false;
  for (uint64_t seed = 0; seed < 64; ++seed) {
    SeededRandom random(seed);
    MemoryDisk disk;
    take(io::write_file_durably(disk, "/file", before));
    take(io::write_file(disk, "/file", now));
    disk.lose_power(random);
    INFO("seed " << seed);
    const std::string left = text_of(disk, "/file");
    CHECK((left == before || left.size() == now.size()));
    for (size_t at = 0; at < left.size(); at += sector)
      CHECK(left.substr(at, sector) == std::string(sector, left[at]));
    torn = torn || left != std::string(left.size(), left[0]);
  }
  CHECK(torn);
}

TEST_CASE("memory disk: one bit of a file rots, durable or not") {
  SeededRandom random(1);
  MemoryDisk disk;
  take(disk.make_dirs("/dir"));
  CHECK(disk.rot(random, "/dir", "data").empty());
  take(io::write_file_durably(disk, "/dir/data", "aaaa"));
  CHECK(disk.rot(random, "/dir", "data") == "/dir/data");
  const std::string rotten = text_of(disk, "/dir/data");
  CHECK(rotten != "aaaa");
  disk.lose_power(random);
  CHECK(text_of(disk, "/dir/data") == rotten);
}

TEST_CASE("memory disk: open files are counted") {
  MemoryDisk disk;
  take(io::write_file(disk, "/file", "a"));
  CHECK(disk.open_files() == 0);
  auto file = take(disk.open("/file", io::OpenMode::read));
  CHECK(disk.open_files() == 1);
  file.reset();
  CHECK(disk.open_files() == 0);
}

TEST_CASE("memory disk: it runs full and breaks as told") {
  MemoryDisk disk(10);
  CHECK(code_of(io::write_file(disk, "/a", "01234567890")) == Errc::no_space);
  take(io::write_file(disk, "/a", "0123456789"));
  disk.break_after(1);
  take(disk.remove("/a"));
  CHECK(code_of(io::write_file(disk, "/b", "x")) == Errc::io);
  SeededRandom random(1);
  disk.lose_power(random);
  take(io::write_file(disk, "/b", "x"));
}

}  // namespace
}  // namespace krakend::test
