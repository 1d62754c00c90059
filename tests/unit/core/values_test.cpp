#include <fstream>
#include <sstream>

#include "krakend/core/bitfield.h"
#include "krakend/core/digest.h"
#include "krakend/core/hash.h"
#include "krakend/core/hex.h"
#include "krakend/core/rendezvous.h"
#include "krakend/core/units.h"
#include "krakend/core/url.h"
#include "support/catch.h"
#include "support/hex_text.h"

using namespace krakend;
using krakend::test::bytes_of;
using krakend::test::hex_of;

namespace {

Bitfield field(uint32_t size, std::initializer_list<uint32_t> bits) {
  Bitfield result(size);
  for (const auto bit : bits) result.set(bit);
  return result;
}

}  // namespace

TEST_CASE("digest forms") {
  const auto empty = Digest::of("");
  CHECK(empty.str() == "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(empty.shard_id() == "e3b0");
  CHECK(*Digest::parse(empty.str()) == empty);
  CHECK(*Digest::parse_any(empty.hex()) == empty);
  for (const auto* bad : {"", "sha256:", "sha512:00", "sha256:zz", "e3b0"}) CHECK_FALSE(Digest::parse(bad));
}

TEST_CASE("bitfield encodings of the contract") {
  CHECK(hex_of(Bitfield(0).encode()) == "0000000000000000");
  CHECK(hex_of(Bitfield(3).encode()) == "00000000000000030000000000000000");
  CHECK(hex_of(field(5, {0, 2}).encode()) == "00000000000000050000000000000005");
  CHECK(hex_of(Bitfield(64, true).encode()) == "0000000000000040ffffffffffffffff");
  CHECK(hex_of(field(65, {0, 64}).encode()) == "000000000000004100000000000000010000000000000001");
  CHECK(hex_of(Bitfield(70, true).encode()) == "0000000000000046ffffffffffffffff000000000000003f");
  CHECK(*Bitfield::decode(Bitfield(70, true).encode(), 70) == Bitfield(70, true));
}

TEST_CASE("poisonous bitfields are refused") {
  CHECK_FALSE(Bitfield::decode("1234567"));
  CHECK_FALSE(Bitfield::decode(bytes_of("00000000000000030000000000000008")));  // stray bit
  CHECK_FALSE(Bitfield::decode(bytes_of("ffffffffffffffff0000000000000000")));  // absurd size
  CHECK_FALSE(Bitfield::decode(Bitfield(4).encode(), 3));
}

TEST_CASE("rendezvous scores and orders of the contract") {
  CHECK(murmur3_h1({}) == 0);
  CHECK(murmur3_h1(as_u8(as_bytes("hello"))) == 0xcbd8a7b341bd9b02);
  CHECK(murmur3_h1(as_u8(as_bytes("The quick brown fox jumps over the lazy dog"))) == 0xe34bbc7bbc071b6c);
  CHECK(rendezvous_score("e3b0", {"kraken-origin-02:15002", 100}) == Approx(546.69030028920156));
  const std::vector<RendezvousNode> nodes{
      {"kraken-origin-01:15002", 100}, {"kraken-origin-02:15002", 100}, {"kraken-origin-03:15002", 100}};
  CHECK(rendezvous_order("e3b0", nodes) == std::vector<size_t>{1, 2, 0});
  CHECK(rendezvous_order("0a1f", nodes) == std::vector<size_t>{2, 1, 0});
  CHECK(rendezvous_score("00", {"/data1", 100}) == Approx(35.97).epsilon(0.001));
}

TEST_CASE("ring order of a recorded cluster") {
  const std::vector<RendezvousNode> nodes{
      {"127.0.0.1:15101", 100}, {"127.0.0.1:15102", 100}, {"127.0.0.1:15103", 100}};
  std::ifstream file(KRAKEND_TEST_DATA "/ring-locations.txt");
  std::string line;
  std::getline(file, line);
  int lines = 0;
  while (std::getline(file, line)) {
    const auto order = rendezvous_order(line.substr(0, 4), nodes);
    CHECK(line.substr(5) == nodes[order[0]].label + "," + nodes[order[1]].label);
    ++lines;
  }
  CHECK(lines == 27);
}

TEST_CASE("path escapes") {
  CHECK(path_escape("library/ubuntu:20.04") == "library%2Fubuntu:20.04");
  CHECK(path_escape("a?b%c d!") == "a%3Fb%25c%20d%21");
  CHECK(query_escape("a/b+json&c=d e:f") == "a%2Fb%2Bjson%26c%3Dd%20e:f");
  CHECK(query_unescape(query_escape("a/b+json&c=d e:f")) == "a/b+json&c=d e:f");
  CHECK(*path_unescape("a%2Fb+c") == "a/b+c");
  CHECK_FALSE(path_unescape("a%b"));
  CHECK_FALSE(path_unescape("a%2"));
}

TEST_CASE("durations and sizes") {
  CHECK(*parse_duration("1h30m") == std::chrono::minutes(90));
  CHECK(*parse_duration("1.5s") == std::chrono::milliseconds(1500));
  CHECK(*parse_duration("1000") == std::chrono::nanoseconds(1000));
  CHECK(*parse_duration(format_duration(std::chrono::milliseconds(90'500))) ==
        std::chrono::milliseconds(90'500));
  for (const auto* bad : {"", "10", "s", "1x", "--1s", "5 s"}) {
    CAPTURE(bad);
    CHECK(parse_duration(bad).has_value() == (std::string_view(bad) == "10"));
  }
  CHECK(*parse_size("4MB") == 4 * MiB);
  CHECK(*parse_size("512k") == 512 * KiB);
  CHECK(*parse_size("7") == 7);
  CHECK(*parse_size("2 gigabytes") == 2 * GiB);
  for (const auto* bad : {"", "Mb", "4Mb", "1.5MB", "-1", "bytes", "99999999999EB"})
    CHECK_FALSE(parse_size(bad));
  CHECK(format_size(4 * MiB) == "4MB");
}

TEST_CASE("repository and tag names") {
  for (const auto* good : {"a", "library/alpine", "a.b/c_d/e__f/g--h", "a1"}) CHECK(valid_repository(good));
  for (const auto* bad : {"", "A", "a/", "/a", "a..b", "a___b", "-a", "a-", "a//b"})
    CHECK_FALSE(valid_repository(bad));
  for (const auto* good : {"v1", "_x", "A.b-C"}) CHECK(valid_tag(good));
  for (const auto* bad : {"", ".a", "-a", "a/b", "a:b"}) CHECK_FALSE(valid_tag(bad));
}
