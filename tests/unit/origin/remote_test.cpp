#include "krakend/api/requests.h"
#include "krakend/io/condition.h"
#include "unit/origin/node.h"

namespace krakend::test {
namespace {

const std::string content = "hello kraken";
const Digest digest = Digest::of(content);

/// An origin of another cluster, which takes its time.
struct SlowOrigin {
  explicit SlowOrigin(World& world) : gate(world.loop) {
    http::Router router;
    using api::bind;
    router.add("GET", "/blobs/{digest}/locations", bind(this, &SlowOrigin::locations))
        .add("POST", "/namespace/{namespace}/blobs/{digest}/uploads", bind(this, &SlowOrigin::begin));
    at = world.serve(std::move(router));
  }
  Task<http::Response> locations(http::Request&) {
    http::Response response = http::text_response(200);
    response.headers.set("Origin-Locations", at.str());
    co_return response;
  }
  /// It has the blob, or answers an error.
  Task<http::Response> begin(http::Request&) {
    ++uploads;
    while (held) co_await gate.wait();
    co_return http::text_response(status);
  }
  io::Address at;
  io::Condition gate;
  bool held = true;
  int status = 409;
  int uploads = 0;
};

struct Stage {
  World world;
  SlowOrigin there{world};
  Node here{world, "here"};
  std::string path = ns_blob(digest) + "/remote/" + there.at.str();

  Stage() { REQUIRE(here.upload(ns_blob(digest), content) == 200); }
  int ask() { return world.call("POST", here.at, path).status; }
  void release() {
    there.held = false;
    there.gate.notify_all();
  }
};

TEST_CASE("a copy that takes long is asked for again, and made once") {
  Stage s;
  CHECK(s.ask() == 202);
  CHECK(s.ask() == 202);
  s.release();
  CHECK(s.ask() == 200);
  CHECK(s.ask() == 200);
  CHECK(s.there.uploads == 1);
}

TEST_CASE("whoever comes after the end of a copy that failed hears why") {
  Stage s;
  s.there.status = 400;
  CHECK(s.ask() == 202);
  s.release();
  const auto failed = s.world.call("POST", s.here.at, s.path);
  CHECK(failed.status == 500);
  CHECK(failed.body.find("400") != std::string::npos);
  CHECK(s.there.uploads == 1);
}

}  // namespace
}  // namespace krakend::test
