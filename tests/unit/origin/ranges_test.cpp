#include "roles/origin/ranges.h"

#include "roles/origin/origin.h"
#include "support/catch.h"

using namespace krakend;
using namespace krakend::origin;

TEST_CASE("Content-Range of an upload: start and exclusive stop") {
  const auto range = parse_content_range("0-2605");
  REQUIRE(range);
  CHECK(range->start == 0);
  CHECK(range->stop == 2605);
  CHECK(parse_content_range("33554432-67108864")->length() == 33'554'432);
  CHECK(parse_content_range("5-5")->length() == 0);
  for (const std::string_view bad : {"", "0,12", "bytes 0-11/12", "12", "-12", "0-", "5-4", "a-b", " 0-1",
                                     "0-1 ", "0x0-1", "0-99999999999999999999"}) {
    CAPTURE(bad);
    const auto parsed = parse_content_range(bad);
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().http_status == 400);
  }
}

TEST_CASE("Range of a download") {
  const auto range = [](std::string_view header, uint64_t size) {
    const auto parsed = parse_range(header, size);
    if (!parsed) return std::string("416");
    if (!*parsed) return std::string("all");
    return fmt::format("{}-{}", (*parsed)->start, (*parsed)->stop);
  };
  CHECK(range("bytes=0-4", 10) == "0-5");
  CHECK(range("bytes=5-", 10) == "5-10");
  CHECK(range("bytes=5-99", 10) == "5-10");
  CHECK(range("bytes=9-9", 10) == "9-10");
  CHECK(range("bytes=-3", 10) == "7-10");
  CHECK(range("bytes=-30", 10) == "0-10");
  CHECK(range("bytes=10-", 10) == "416");
  CHECK(range("bytes=-0", 10) == "416");
  CHECK(range("bytes=0-", 0) == "416");
  CHECK(range("", 10) == "all");
  CHECK(range("bytes=0-1,3-4", 10) == "all");
  CHECK(range("bytes=4-2", 10) == "all");
  CHECK(range("bytes=a-b", 10) == "all");
  CHECK(range("bytes=-", 10) == "all");
  CHECK(range("pieces=0-1", 10) == "all");
}

TEST_CASE("piece length by blob size") {
  // Contract core-formats §8.
  const std::map<uint64_t, uint64_t> lengths{{0, MiB}, {2 * GiB, 4 * MiB}, {4 * GiB, 8 * MiB}};
  CHECK(piece_length_for(lengths, 0) == MiB);
  CHECK(piece_length_for(lengths, 1 * GiB) == MiB);
  CHECK(piece_length_for(lengths, 2 * GiB - 1) == MiB);
  CHECK(piece_length_for(lengths, 2 * GiB) == 4 * MiB);
  CHECK(piece_length_for(lengths, 3 * GiB) == 4 * MiB);
  CHECK(piece_length_for(lengths, 4 * GiB) == 8 * MiB);
  CHECK(piece_length_for(lengths, 8 * GiB) == 8 * MiB);
  CHECK(piece_length_for({{1 * GiB, 2 * MiB}}, 5) == 2 * MiB);
}
