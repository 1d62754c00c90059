#include "p2p/prefix_hasher.h"

#include "krakend/core/hex.h"
#include "krakend/io/system.h"
#include "support/catch.h"
#include "support/run.h"
#include "support/seeded_random.h"
#include "support/temp_dir.h"

using namespace krakend;
using krakend::p2p::PrefixHasher;

namespace {

constexpr uint64_t size = 5 * MiB + 3;

struct Fixture {
  Fixture() : text(size, '\0') {
    test::SeededRandom random(11);
    for (auto& c : text) c = static_cast<char>(random.next());
    file = *disk->open(dir / "data", io::OpenMode::create);
    REQUIRE(file->write_at(0, as_bytes(text)));
    Sha256 sha;
    sha.update(as_bytes(text));
    whole = sha.digest();
  }
  std::span<const std::byte> part(uint64_t begin, uint64_t end) const {
    return as_bytes(std::string_view(text).substr(begin, end - begin));
  }
  void advance(PrefixHasher& hasher, uint64_t end) {
    while (hasher.position() < end) REQUIRE(test::run(loop, hasher.advance(end)));
  }

  std::string text;
  test::TempDir dir;
  std::unique_ptr<io::Disk> disk = io::make_posix_disk();
  io::Loop loop;
  io::FilePtr file;
  Digest whole;
};

}  // namespace

TEST_CASE("the hash of a file that is read and tapped by turns") {
  Fixture f;
  PrefixHasher hasher(f.loop, f.file);

  auto tap = hasher.lend(0);
  REQUIRE(tap);
  REQUIRE(tap->write(f.part(0, 1 * MiB)));
  hasher.adopt(*tap);
  CHECK(hasher.position() == 1 * MiB);

  f.advance(hasher, 2 * MiB);
  tap = hasher.lend(2 * MiB);
  REQUIRE(tap);
  REQUIRE(tap->write(f.part(2 * MiB, 2 * MiB + 7)));
  REQUIRE(tap->write(f.part(2 * MiB + 7, 3 * MiB)));
  hasher.adopt(*tap);

  f.advance(hasher, size);
  CHECK(hasher.digest() == f.whole);
}

TEST_CASE("a tap is lent only where the hash stands, and once") {
  Fixture f;
  PrefixHasher hasher(f.loop, f.file);
  CHECK_FALSE(hasher.lend(1));
  auto tap = hasher.lend(0);
  REQUIRE(tap);
  CHECK(hasher.busy());
  CHECK_FALSE(hasher.lend(0));
  hasher.give_back();
  CHECK(hasher.lend(0));
}

TEST_CASE("wrong bytes in a tap that is given back leave no trace") {
  Fixture f;
  PrefixHasher hasher(f.loop, f.file);
  auto tap = hasher.lend(0);
  REQUIRE(tap->write(f.part(100, 200)));
  hasher.give_back();
  CHECK(hasher.position() == 0);
  f.advance(hasher, size);
  CHECK(hasher.digest() == f.whole);
}

TEST_CASE("a restarted hash begins at the first byte") {
  Fixture f;
  PrefixHasher hasher(f.loop, f.file);
  f.advance(hasher, 1 * MiB);
  hasher.restart();
  CHECK(hasher.position() == 0);
  f.advance(hasher, size);
  CHECK(hasher.digest() == f.whole);
}
