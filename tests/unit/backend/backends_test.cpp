#include "krakend/io/system.h"
#include "support/temp_dir.h"
#include "unit/backend/backend_contract.h"

namespace krakend::test {
namespace {

std::string path_of(std::string_view id, std::string root, std::string_view name) {
  return take(take(backend::make_name_path(id, std::move(root)))->path(name));
}

constexpr const char* hex = "ff85ceb9734a3c2fbb886e0f7cfc66b046eeeae953d8cb430dc5a7ace544b0e9";

TEST_CASE("name_path: the vectors of the contract, both ways") {  // core-formats §21
  struct Vector {
    const char* id;
    std::string name;
    std::string path;
  };
  const Vector vectors[] = {
      {"docker_tag", "repo-bar:latest",
       "/srv/root/docker/registry/v2/repositories/repo-bar/_manifests/tags/latest/current/link"},
      {"sharded_docker_blob", hex,
       std::string("/srv/root/docker/registry/v2/blobs/sha256/ff/") + hex + "/data"},
      {"identity", "foo/bar", "/srv/root/foo/bar"},
  };
  for (const auto& [id, name, path] : vectors) {
    INFO(id);
    auto names = take(backend::make_name_path(id, "/srv/root"));
    CHECK(take(names->path(name)) == path);
    CHECK(take(names->name(path)) == name);
  }
}

TEST_CASE("name_path: a root may end in a slash") {
  CHECK(path_of("identity", "/srv/root/", "foo") == "/srv/root/foo");
  CHECK(take(take(backend::make_name_path("identity", "/srv/root/"))->name("/srv/root/foo")) == "foo");
}

TEST_CASE("name_path: paths of another scheme are refused") {
  for (const char* id : {"identity", "docker_tag", "sharded_docker_blob"}) {
    INFO(id);
    CHECK_FALSE(take(backend::make_name_path(id, "/srv/root"))->name("/elsewhere/foo"));
  }
  CHECK_FALSE(take(backend::make_name_path("docker_tag", "/srv/root"))
                  ->name("/srv/root/docker/registry/v2/repositories/_manifests/tags/v1/current/link"));
}

TEST_CASE("name_path: no name leaves the root") {
  for (const char* id : {"identity", "docker_tag", "sharded_docker_blob"}) {
    auto names = take(backend::make_name_path(id, "/srv/root"));
    for (const std::string name : {"", "..", "../x", "a/../../b:c", "./a:b", "a/.."}) {
      INFO(id << " " << name);
      CHECK_FALSE(names->path(name));
    }
    CHECK_FALSE(names->path(std::string_view("a\0b:c", 5)));
  }
}

TEST_CASE("name_path: an unknown scheme is refused with those there are") {
  const auto names = backend::make_name_path("sharded", "/srv/root");
  REQUIRE_FALSE(names);
  for (const char* part : {"sharded", "identity", "docker_tag", "sharded_docker_blob"})
    CHECK(names.error().message.find(part) != std::string::npos);
}

struct Picked {
  io::Loop loop;
  std::unique_ptr<io::Disk> disk = io::make_posix_disk();
  TempDir dir;
  backend::Backends backends;

  backend::BackendPtr make(const std::string& name) {
    return backend::make_file_backend(loop, *disk, take(backend::make_name_path("identity", dir / name)));
  }
};

TEST_CASE("backends: the first match in list order wins, anywhere in the namespace") {
  Picked p;
  const auto a = p.make("a"), b = p.make("b"), rest = p.make("rest");
  take(p.backends.add("^library/", a));
  take(p.backends.add("team-b", b));
  take(p.backends.add(".*", rest));
  CHECK(take(p.backends.find("library/team-b")) == a);
  CHECK(take(p.backends.find("x/team-b/y")) == b);
  CHECK(take(p.backends.find("my/library/app")) == rest);
}

TEST_CASE("backends: no match is not_found and names the namespace") {
  Picked p;
  take(p.backends.add("^library/.*", p.make("a")));
  const auto found = p.backends.find("other/app");
  REQUIRE_FALSE(found);
  CHECK(found.error().code == Errc::not_found);
  CHECK(found.error().message.find("other/app") != std::string::npos);
}

TEST_CASE("backends: a broken regular expression is refused with its text") {
  Picked p;
  const auto added = p.backends.add("library/(", p.make("a"));
  REQUIRE_FALSE(added);
  CHECK(added.error().code == Errc::invalid_argument);
  CHECK(added.error().message.find("library/(") != std::string::npos);
}

TEST_CASE("backends: __noop__ has nothing and swallows everything") {
  Picked p;
  const auto noop = take(p.backends.find("__noop__"));
  take(run(p.loop, noop->put("x", "content")));
  CHECK(run(p.loop, noop->stat("x")).error().code == Errc::not_found);
  CHECK(run(p.loop, noop->get("x", 100)).error().code == Errc::not_found);
  CHECK(take(run(p.loop, noop->list(""))).empty());
}

}  // namespace
}  // namespace krakend::test
