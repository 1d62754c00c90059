#include <string>

#include "harness.h"
#include "krakend/registry/tag_names.h"
#include "support/catch.h"

namespace krakend::registry {
namespace {

void add_tags(Harness& registry, const std::string& repo, const std::vector<std::string>& tags) {
  for (const std::string& tag : tags) registry.transfer->tags[repo][tag] = Digest::of(tag);
}

TEST_CASE("all tags") {
  Harness registry;
  add_tags(registry, "lib/cap1", {"v1"});
  const Answer answer = registry.get("/v2/lib/cap1/tags/list");
  CHECK(answer.status == 200);
  CHECK(answer.body == "{\"name\":\"lib/cap1\",\"tags\":[\"v1\"]}\n");
  CHECK(answer.header("Content-Type") == "application/json");
  CHECK_FALSE(answer.headers.has("Link"));
}

TEST_CASE("tags in pages") {
  Harness registry;
  add_tags(registry, "a", {"a", "b", "c", "d", "e"});
  const Answer first = registry.get("/v2/a/tags/list?n=2");
  CHECK(first.body == "{\"name\":\"a\",\"tags\":[\"a\",\"b\"]}\n");
  CHECK(first.header("Link") == "</v2/a/tags/list?n=2&last=b>; rel=\"next\"");
  const Answer second = registry.get("/v2/a/tags/list?n=2&last=b");
  CHECK(second.body == "{\"name\":\"a\",\"tags\":[\"c\",\"d\"]}\n");
  const Answer last = registry.get("/v2/a/tags/list?n=2&last=d");
  CHECK(last.body == "{\"name\":\"a\",\"tags\":[\"e\"]}\n");
  CHECK_FALSE(last.headers.has("Link"));
  CHECK_FALSE(registry.get("/v2/a/tags/list?n=5").headers.has("Link"));
  CHECK(registry.get("/v2/a/tags/list?last=bb").body == "{\"name\":\"a\",\"tags\":[\"c\",\"d\",\"e\"]}\n");
  CHECK(registry.get("/v2/a/tags/list?n=99999&last=z").body == "{\"name\":\"a\",\"tags\":[]}\n");
  const Answer none = registry.get("/v2/a/tags/list?n=0");
  CHECK(none.body == "{\"name\":\"a\",\"tags\":[]}\n");
  CHECK_FALSE(none.headers.has("Link"));
}

TEST_CASE("bad page sizes and unknown repositories") {
  Harness registry;
  add_tags(registry, "a", {"a"});
  for (const char* n : {"x", "-1", "1x", "99999999999999999999999"}) {
    INFO(n);
    const Answer answer = registry.get(std::string("/v2/a/tags/list?n=") + n);
    CHECK(answer.status == 400);
    CHECK(answer.code() == "PAGINATION_NUMBER_INVALID");
  }
  const Answer unknown = registry.get("/v2/none/tags/list");
  CHECK(unknown.status == 404);
  CHECK(unknown.code() == "NAME_UNKNOWN");
  registry.transfer->tag_error = Error{Errc::network, "no build-index answers"};
  CHECK(registry.get("/v2/a/tags/list").status == 503);
}

TEST_CASE("the catalog") {
  Harness registry;
  for (const char* repo : {"drv/repo", "lib/cap1", "smoke/img"}) add_tags(registry, repo, {"v1"});
  CHECK(registry.get("/v2/_catalog").body ==
        "{\"repositories\":[\"drv/repo\",\"lib/cap1\",\"smoke/img\"]}\n");
  const Answer page = registry.get("/v2/_catalog?n=1&last=drv%2Frepo");
  CHECK(page.body == "{\"repositories\":[\"lib/cap1\"]}\n");
  CHECK(page.header("Link") == "</v2/_catalog?n=1&last=lib%2Fcap1>; rel=\"next\"");
}

TEST_CASE("names of the build-index") {
  const std::vector<std::string> names{"lib/b:v2", "lib/a:v1",  "lib/b:v10", "lib/b:v2",
                                       "junk",     "lib/b/c:x", ":x",        "lib/b:"};
  CHECK(tag_prefix("lib/b") == "/lib/b/_manifests/tags");
  CHECK(tags_of("lib/b", names) == std::vector<std::string>{"v10", "v2"});
  CHECK(tags_of("none", names).empty());
  CHECK(repositories_of(names) == std::vector<std::string>{"lib/a", "lib/b", "lib/b/c"});
}

}  // namespace
}  // namespace krakend::registry
