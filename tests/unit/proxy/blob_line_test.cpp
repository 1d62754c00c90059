#include "roles/proxy/blob_line.h"

#include <fmt/format.h>

#include "krakend/io/loop.h"
#include "support/catch.h"
#include "support/run.h"

namespace krakend::proxy {
namespace {

std::vector<Digest> some(unsigned count, const std::string& name) {
  std::vector<Digest> out;
  for (unsigned i = 0; i < count; ++i) out.push_back(Digest::of(fmt::format("{} {}", name, i)));
  return out;
}

struct Stage {
  explicit Stage(BlobLine::Limits limits) : opened(loop), line(loop, limits, Logger()) {}
  ~Stage() { test::run(loop, line.stop()); }

  /// Calls that end when the gate is opened.
  BlobLine::Call call(std::string name) {
    return [this, name](Digest digest) { return pass(name, digest); };
  }
  Task<Result<void>> pass(std::string name, Digest digest) {
    order += name;
    while (closed) co_await opened.wait();
    if (digest == failing) co_return fail(Errc::network, "no");
    co_return Result<void>{};
  }
  void open() {
    closed = false;
    opened.notify_all();
  }
  void settle() {
    for (int i = 0; i < 50; ++i) loop.poll();
  }

  io::Loop loop;
  io::Condition opened;
  bool closed = false;
  std::string order;
  Digest failing;
  BlobLine line;
};

TEST_CASE("images take turns, and few calls run at once") {
  Stage stage({2, 100});
  stage.closed = true;
  auto a = stage.line.add("a", some(4, "a"), stage.call("a"));
  auto b = stage.line.add("b", some(3, "b"), stage.call("b"));
  REQUIRE(a);
  REQUIRE(b);
  stage.settle();
  CHECK(stage.line.running() == 2);
  CHECK(stage.line.waiting() == 5);
  stage.open();
  CHECK(test::run(stage.loop, stage.line.wait(*a)));
  CHECK(test::run(stage.loop, stage.line.wait(*b)));
  CHECK(stage.order == "abababa");
  CHECK(stage.line.running() == 0);
  CHECK(stage.line.waiting() == 0);
}

TEST_CASE("the first failure of an image is told when all its blobs are done") {
  Stage stage({1, 100});
  const auto blobs = some(3, "a");
  stage.failing = blobs[1];
  auto batch = stage.line.add("a", blobs, stage.call("a"));
  REQUIRE(batch);
  CHECK(test::run(stage.loop, stage.line.wait(*batch)).error().message == "no");
  CHECK((*batch)->failed == 1);
  CHECK(stage.order == "aaa");
  auto nothing = stage.line.add("nothing", {}, stage.call("n"));
  REQUIRE(nothing);
  CHECK(test::run(stage.loop, stage.line.wait(*nothing)));
}

TEST_CASE("beyond the blobs that may wait images are turned away") {
  Stage stage({1, 3});
  stage.closed = true;
  REQUIRE(stage.line.add("a", some(3, "a"), stage.call("a")));
  auto refused = stage.line.add("b", some(1, "b"), stage.call("b"));
  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Errc::unavailable);
  stage.settle();
  CHECK(stage.line.add("b", some(1, "b"), stage.call("b")));
}

TEST_CASE("what nobody waits for any more leaves the line") {
  Stage stage({1, 10});
  stage.closed = true;
  auto batch = stage.line.add("a", some(3, "a"), stage.call("a"));
  REQUIRE(batch);
  io::TaskGroup callers(stage.loop);
  const auto caller = [&]() -> Task<> { (void)co_await stage.line.wait(*batch); };
  callers.spawn(caller(), "caller");
  stage.settle();
  test::run(stage.loop, callers.stop());
  CHECK(stage.line.waiting() == 0);
  stage.open();
  stage.settle();
  CHECK(stage.order == "a");
  CHECK((*batch)->done());
}

TEST_CASE("who waits for a line that stops is told") {
  Stage stage({1, 10});
  stage.closed = true;
  auto batch = stage.line.add("a", some(3, "a"), stage.call("a"));
  REQUIRE(batch);
  stage.settle();
  test::run(stage.loop, stage.line.stop());
  CHECK(test::run(stage.loop, stage.line.wait(*batch)).error().code == Errc::cancelled);
  CHECK((*batch)->failed == 3);
  CHECK_FALSE(stage.line.add("b", some(1, "b"), stage.call("b")));
}

}  // namespace
}  // namespace krakend::proxy
