#include "registry/ranges.h"

#include <string>

#include "support/catch.h"

namespace krakend::registry {
namespace {

using Kind = RangeRequest::Kind;

void check_part(std::string_view header, uint64_t size, uint64_t offset, uint64_t length) {
  INFO(header);
  const RangeRequest range = parse_range(header, size);
  CHECK(range.kind == Kind::part);
  CHECK(range.offset == offset);
  CHECK(range.length == length);
}

TEST_CASE("single ranges") {
  check_part("bytes=100-199", 2605, 100, 100);
  check_part("bytes=0-0", 2605, 0, 1);
  check_part("bytes=2604-", 2605, 2604, 1);
  check_part("bytes=0-", 2605, 0, 2605);
  check_part("bytes=100-999999", 2605, 100, 2505);
  check_part("bytes=0-99999999999999999999999999", 2605, 0, 2605);
  check_part("bytes=-5", 2605, 2600, 5);
  check_part("bytes=-999999", 2605, 0, 2605);
  check_part("Bytes = 1 - 2", 10, 1, 2);
}

TEST_CASE("ranges outside of the body") {
  for (const char* header : {"bytes=2605-", "bytes=999999-", "bytes=2605-2605", "bytes=5-3", "bytes=-0",
                             "bytes=99999999999999999999999999-"}) {
    INFO(header);
    CHECK(parse_range(header, 2605).kind == Kind::unsatisfiable);
  }
  CHECK(parse_range("bytes=0-", 0).kind == Kind::unsatisfiable);
  CHECK(parse_range("bytes=-1", 0).kind == Kind::unsatisfiable);
}

TEST_CASE("whatever else is answered with the whole body") {
  for (const char* header : {"", "bytes", "bytes=", "bytes=-", "bytes=a-b", "bytes=1-b", "bytes=1",
                             "bytes=0-9,20-29", "bytes=0-9,", "items=0-9", "bytes=+1-2", "bytes=1--2"}) {
    INFO(header);
    CHECK(parse_range(header, 100).kind == Kind::whole);
  }
}

TEST_CASE("chunk ranges") {
  const auto plain = parse_chunk_range("7-11");
  REQUIRE(plain);
  CHECK(plain->first == 7);
  CHECK(plain->last == 11);
  CHECK(plain->length() == 5);
  REQUIRE(parse_chunk_range("bytes 0-9/20"));
  CHECK(parse_chunk_range("bytes 0-9/20")->last == 9);
  REQUIRE(parse_chunk_range("bytes=0-9"));
  for (const char* header : {"", "-", "5-", "-5", "9-5", "a-b", "bytes", "5", "0-18446744073709551615",
                             "0-99999999999999999999999"}) {
    INFO(header);
    CHECK_FALSE(parse_chunk_range(header));
  }
}

TEST_CASE("entity tags") {
  const auto digest =
      *Digest::parse("sha256:5279e75323d333b0588bbf8335f4bd1c59a9a5f32e4645142ead2d30b74358bb");
  const std::string text = digest.str();
  CHECK(etag_matches(text, digest));
  CHECK(etag_matches("\"" + text + "\"", digest));
  CHECK(etag_matches("W/\"" + text + "\"", digest));
  CHECK(etag_matches("\"x\" , \"" + text + "\"", digest));
  CHECK(etag_matches("*", digest));
  CHECK_FALSE(etag_matches("", digest));
  CHECK_FALSE(etag_matches("\"x\"", digest));
  CHECK_FALSE(etag_matches("\"" + text, digest));
}

}  // namespace
}  // namespace krakend::registry
