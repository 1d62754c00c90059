#include "roles/build_index/listing.h"

#include "support/catch.h"

using namespace krakend;
using namespace krakend::build_index;

namespace {

const std::vector<std::string> names{"drv/repo:v1", "lib/cap1:v1", "repl/img:v1", "smoke/img:v1"};

std::string page_json(const std::string& query) {
  const auto paging = parse_paging(query);
  REQUIRE(paging);
  const Page page = take_page(names, *paging);
  const std::string target = query.empty() ? "/list/" : "/list/?" + query;
  return list_response_json(target, "/list/", *paging, page.names, page.next);
}

}  // namespace

TEST_CASE("the list of a Go build-index, byte for byte") {
  CHECK(page_json("") == R"({"Links":{"next":"","self":"/list/"},"size":4,)"
                         R"("result":["drv/repo:v1","lib/cap1:v1","repl/img:v1","smoke/img:v1"]})"
                         "\n");
}

TEST_CASE("nothing is a null result") {
  CHECK(list_response_json("/list/x", "/list/x", {}, {}, "") ==
        "{\"Links\":{\"next\":\"\",\"self\":\"/list/x\"},\"size\":0,\"result\":null}\n");
}

TEST_CASE("pages follow each other by offset") {
  CHECK(page_json("limit=2") ==
        R"({"Links":{"next":"/list/?limit=2\u0026offset=lib%2Fcap1:v1","self":"/list/?limit=2"},"size":2,)"
        R"("result":["drv/repo:v1","lib/cap1:v1"]})"
        "\n");
  CHECK(page_json("limit=2&offset=lib%2Fcap1%3Av1") ==
        R"({"Links":{"next":"","self":"/list/?limit=2\u0026offset=lib%2Fcap1%3Av1"},"size":2,)"
        R"("result":["repl/img:v1","smoke/img:v1"]})"
        "\n");
}

TEST_CASE("offset alone pages by 250") {
  std::vector<std::string> many;
  for (int i = 0; i < 600; ++i) many.push_back(fmt::format("r:{:04}", i));
  const auto paging = parse_paging("offset=r:0099");
  REQUIRE(paging);
  const Page page = take_page(many, *paging);
  REQUIRE(page.names.size() == 250);
  CHECK(page.names.front() == "r:0100");
  CHECK(page.next == "r:0349");
}

TEST_CASE("a name that vanished between pages does not shift them") {
  std::vector<std::string> left = names;
  left.erase(left.begin() + 1);
  const auto paging = parse_paging("limit=2&offset=lib/cap1:v1");
  REQUIRE(paging);
  CHECK(take_page(left, *paging).names == std::vector<std::string>{"repl/img:v1", "smoke/img:v1"});
}

TEST_CASE("queries that the reference refuses") {
  for (const std::string query :
       {"limit=0", "limit=-1", "limit=x", "limit=", "limit=1x", "foo=1", "limit=1&limit=2",
        "offset=a&offset=b", "offset=%zz", "limit=99999999999999999999"}) {
    CAPTURE(query);
    const auto paging = parse_paging(query);
    REQUIRE_FALSE(paging);
    CHECK(paging.error().http_status == 400);
  }
}

TEST_CASE("a repository's tags are what stands behind the one colon") {
  CHECK(tags_of({"lib/a:v1", "lib/a:v2", "odd", "a:b:c", "lib/a:"}) ==
        std::vector<std::string>{"v1", "v2", ""});
}

TEST_CASE("text in JSON is escaped as Go does") {
  CHECK(list_response_json("/list/<a>&\"", "/list/", {}, {"x"}, "") ==
        "{\"Links\":{\"next\":\"\",\"self\":\"/list/"
        "\\u003ca\\u003e\\u0026\\\"\"},\"size\":1,\"result\":[\"x\"]}\n");
}
