#include <fstream>

#include "krakend/core/metainfo.h"
#include "krakend/core/peer.h"
#include "support/catch.h"

// JSON that reference processes have sent to each other: read, and written again to the same bytes.

namespace krakend::test {
namespace {

template <class T>
std::string again(const std::string& text) {
  const auto value = T::parse(text);
  INFO(text << "\n" << (value ? std::string() : value.error().message));
  REQUIRE(value);
  auto out = value->json();
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

TEST_CASE("recorded bodies come out as they went in") {
  std::ifstream file(KRAKEND_TEST_DATA "/http/bodies.txt");
  int bodies = 0;
  for (std::string line; std::getline(file, line); ++bodies) {
    if (line.starts_with(R"({"Info")")) {
      CHECK(again<MetaInfo>(line) == line);
    } else if (line.starts_with(R"({"peers")")) {
      CHECK(again<AnnounceResponse>(line) == line);
    } else if (line.starts_with(R"({"ip")")) {
      CHECK(again<PeerContext>(line) == line);
    } else {
      CHECK(again<AnnounceRequest>(line) == line);
    }
  }
  CHECK(bodies == 9);
}

}  // namespace
}  // namespace krakend::test
