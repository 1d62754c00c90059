#include "unit/p2p/recorded_streams.h"

#include <fstream>

namespace krakend::test {

std::vector<RecordedStream> recorded_streams() {
  std::ifstream file(KRAKEND_TEST_DATA "/p2p/streams.txt");
  std::vector<RecordedStream> streams;
  std::string* side = nullptr;
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("## ")) {
      streams.push_back({line.substr(3), "", ""});
    } else if (line.starts_with("# opener")) {
      side = &streams.back().opener;
    } else if (line.starts_with("# acceptor")) {
      side = &streams.back().acceptor;
    } else if (side != nullptr) {
      *side += bytes_of(line);
    }
  }
  REQUIRE(streams.size() == 4);
  return streams;
}

}  // namespace krakend::test
