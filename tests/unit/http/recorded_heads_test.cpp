#include <fstream>

#include "http/head_parser.h"
#include "support/catch.h"

// What the clients and proxies of a reference cluster have sent, one of each shape.

namespace krakend::test {
namespace {

TEST_CASE("recorded request heads are understood whole") {
  std::ifstream file(KRAKEND_TEST_DATA "/http/request-heads.txt");
  http::HeadParser parser;
  int heads = 0;
  std::vector<std::string> lines;
  for (std::string line; std::getline(file, line);) {
    if (!line.empty()) {
      lines.push_back(line);
      continue;
    }
    std::string head;
    for (const auto& part : lines) head += part + "\r\n";
    INFO(head);
    const auto parsed = parser.parse(head + "\r\n");
    REQUIRE(parsed);
    const auto& first = lines.front();
    CHECK(first.starts_with(parsed->request.method + " " + parsed->request.target + " HTTP/1."));
    CHECK(parsed->keep_alive ==
          (first.ends_with("1.1") && parsed->request.headers.get("Connection") != "close"));
    for (size_t i = 1; i < lines.size(); ++i) {
      const size_t colon = lines[i].find(": ");
      if (colon == std::string::npos) continue;
      CHECK(parsed->request.headers.joined(lines[i].substr(0, colon)).find(lines[i].substr(colon + 2)) !=
            std::string::npos);
    }
    lines.clear();
    ++heads;
  }
  CHECK(heads == 339);
}

}  // namespace
}  // namespace krakend::test
