#pragma once

#include <string>
#include <vector>

#include "krakend/backend/backend.h"
#include "support/catch.h"
#include "support/run.h"
#include "support/take.h"

// What an implementation of Backend must do. A world has `io::Loop& loop()`, `backend::Backend& backend()`,
// which names objects "repo:tag" (docker_tag) and is empty, and `io::FilePtr file(text)`, `std::string
// path()` of a file with that content.

namespace krakend::test {

/// Collects what it is fed, and refuses to take more than `limit` bytes.
class TextSink final : public io::ByteSink {
 public:
  explicit TextSink(size_t limit = SIZE_MAX) : limit_(limit) {}
  Result<void> write(std::span<const std::byte> data) override {
    if (text.size() + data.size() > limit_) return fail(Errc::too_large, "the sink is full");
    text.append(reinterpret_cast<const char*>(data.data()), data.size());
    return {};
  }
  std::string text;

 private:
  size_t limit_;
};

template <class World>
void small_object_contract() {
  World world;
  auto& loop = world.loop();
  auto& backend = world.backend();

  SECTION("what was put is there, with its size") {
    take(run(loop, backend.put("library/app:v1", "sha256:abc")));
    CHECK(take(run(loop, backend.get("library/app:v1", 100))) == "sha256:abc");
    CHECK(take(run(loop, backend.stat("library/app:v1"))) == 10);
  }
  SECTION("a second put replaces the first") {
    take(run(loop, backend.put("app:v1", "a long first content")));
    take(run(loop, backend.put("app:v1", "short")));
    CHECK(take(run(loop, backend.get("app:v1", 100))) == "short");
  }
  SECTION("an empty object is an object") {
    take(run(loop, backend.put("app:v1", "")));
    CHECK(take(run(loop, backend.stat("app:v1"))) == 0);
    CHECK(take(run(loop, backend.get("app:v1", 100))).empty());
  }
  SECTION("more than the limit is refused, not cut") {
    take(run(loop, backend.put("app:v1", std::string(101, 'x'))));
    CHECK(run(loop, backend.get("app:v1", 100)).error().code == Errc::too_large);
  }
  SECTION("what is not there is not_found to every call") {
    take(run(loop, backend.put("app:v1", "x")));
    TextSink sink;
    CHECK(run(loop, backend.stat("app:v2")).error().code == Errc::not_found);
    CHECK(run(loop, backend.get("app:v2", 100)).error().code == Errc::not_found);
    CHECK(run(loop, backend.download("app:v2", 0, sink)).error().code == Errc::not_found);
    CHECK(run(loop, backend.remove("app:v2")).error().code == Errc::not_found);
  }
  SECTION("what was removed is gone") {
    take(run(loop, backend.put("app:v1", "x")));
    take(run(loop, backend.remove("app:v1")));
    CHECK(run(loop, backend.stat("app:v1")).error().code == Errc::not_found);
    CHECK(take(run(loop, backend.list(""))).empty());
  }
  SECTION("a name that the scheme cannot hold is invalid_argument, and leaves nothing") {
    for (const std::string name : {"", "no-tag", "app:", ":v1", "a:b:c", "../app:v1", "app/../../x:v1"}) {
      INFO(name);
      CHECK(run(loop, backend.put(name, "x")).error().code == Errc::invalid_argument);
      CHECK(run(loop, backend.stat(name)).error().code == Errc::invalid_argument);
    }
    CHECK(take(run(loop, backend.list(""))).empty());
  }
}

template <class World>
void large_object_contract() {
  World world;
  auto& loop = world.loop();
  auto& backend = world.backend();
  std::string content;
  while (content.size() < 3 << 20) content += std::to_string(content.size()) + " ";

  SECTION("a file goes up and comes down, from any offset") {
    take(run(loop, backend.upload("app:v1", world.file(content), world.path())));
    for (const uint64_t offset :
         {uint64_t{0}, uint64_t{1}, uint64_t{1} << 20, content.size() - 1, content.size()}) {
      TextSink sink;
      take(run(loop, backend.download("app:v1", offset, sink)));
      CHECK(sink.text == content.substr(offset));
    }
    CHECK(take(run(loop, backend.stat("app:v1"))) == content.size());
  }
  SECTION("an upload replaces what was there") {
    take(run(loop, backend.put("app:v1", "old")));
    take(run(loop, backend.upload("app:v1", world.file(content), world.path())));
    take(run(loop, backend.upload("app:v1", world.file(content), world.path())));
    CHECK(take(run(loop, backend.stat("app:v1"))) == content.size());
    CHECK(take(run(loop, backend.list(""))) == std::vector<std::string>{"app:v1"});
  }
  SECTION("the path is an offer: without it the content is read from the file") {
    take(run(loop, backend.upload("app:v1", world.file(content), "")));
    TextSink sink;
    take(run(loop, backend.download("app:v1", 0, sink)));
    CHECK(sink.text == content);
  }
  SECTION("a sink that fails ends the download with its error") {
    take(run(loop, backend.upload("app:v1", world.file(content), world.path())));
    TextSink sink(100);
    CHECK(run(loop, backend.download("app:v1", 0, sink)).error().message == "the sink is full");
  }
}

template <class World>
void listing_contract() {
  World world;
  auto& loop = world.loop();
  auto& backend = world.backend();
  using Names = std::vector<std::string>;
  CHECK(take(run(loop, backend.list(""))) == Names{});
  for (const std::string name : {"b/app:v2", "b/app:v1", "a:latest", "b/app/inner:v1", "bb:v1"})
    take(run(loop, backend.put(name, name)));

  CHECK(take(run(loop, backend.list(""))) ==
        Names{"a:latest", "b/app/inner:v1", "b/app:v1", "b/app:v2", "bb:v1"});
  CHECK(take(run(loop, backend.list("b/app/_manifests/tags"))) == Names{"b/app:v1", "b/app:v2"});
  CHECK(take(run(loop, backend.list("b"))) == Names{"b/app/inner:v1", "b/app:v1", "b/app:v2"});
  CHECK(take(run(loop, backend.list("/b/"))) == Names{"b/app/inner:v1", "b/app:v1", "b/app:v2"});
  CHECK(take(run(loop, backend.list("nothing"))) == Names{});
  CHECK(run(loop, backend.list("../b")).error().code == Errc::invalid_argument);
}

}  // namespace krakend::test
