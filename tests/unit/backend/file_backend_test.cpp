#include "krakend/io/system.h"
#include "support/temp_dir.h"
#include "unit/backend/backend_contract.h"

namespace krakend::test {
namespace {

class FileWorld {
 public:
  FileWorld() {
    auto names = backend::make_name_path("docker_tag", dir_ / "root");
    REQUIRE(names);
    backend_ = backend::make_file_backend(loop_, *disk_, std::move(*names));
  }
  io::Loop& loop() { return loop_; }
  io::Disk& disk() { return *disk_; }
  backend::Backend& backend() { return *backend_; }
  std::string path() const { return dir_ / "source"; }
  std::string root() const { return dir_ / "root"; }
  io::FilePtr file(const std::string& text) {
    take(io::write_file(*disk_, path(), text));
    return take(disk_->open(path(), io::OpenMode::read));
  }

 private:
  TempDir dir_;
  io::Loop loop_;
  std::unique_ptr<io::Disk> disk_ = io::make_posix_disk();
  backend::BackendPtr backend_;
};

TEST_CASE("file backend: small objects") {
  small_object_contract<FileWorld>();
}
TEST_CASE("file backend: large objects") {
  large_object_contract<FileWorld>();
}
TEST_CASE("file backend: listing") {
  listing_contract<FileWorld>();
}

TEST_CASE("file backend: the content of a tag is the file that the reference reads") {
  FileWorld world;
  take(run(world.loop(), world.backend().put("repo-bar:latest", "sha256:abc")));
  const auto path =
      world.root() + "/docker/registry/v2/repositories/repo-bar/_manifests/tags/latest/current/link";
  CHECK(take(io::read_file(world.disk(), path, 100)) == "sha256:abc");
}

TEST_CASE("file backend: a removal of the source leaves what was uploaded from it") {
  FileWorld world;
  take(run(world.loop(), world.backend().upload("app:v1", world.file("content"), world.path())));
  take(world.disk().remove(world.path()));
  CHECK(take(run(world.loop(), world.backend().get("app:v1", 100))) == "content");
}

TEST_CASE("file backend: a removal leaves no empty directories, and nothing else goes with it") {
  FileWorld world;
  const auto tags = world.root() + "/docker/registry/v2/repositories/app/_manifests/tags";
  take(run(world.loop(), world.backend().put("app:v1", "one")));
  take(run(world.loop(), world.backend().put("app:v2", "two")));
  take(run(world.loop(), world.backend().remove("app:v1")));
  CHECK(take(world.disk().list(tags)) == std::vector<std::string>{"v2"});
  take(run(world.loop(), world.backend().remove("app:v2")));
  CHECK_FALSE(world.disk().stat(world.root() + "/docker/registry/v2/repositories/app"));
  take(run(world.loop(), world.backend().put("app:v2", "again")));
  CHECK(take(run(world.loop(), world.backend().get("app:v2", 100))) == "again");
}

TEST_CASE("file backend: what a killed process left half written is neither listed nor in the way") {
  FileWorld world;
  const auto left = world.root() + "/docker/registry/v2/repositories/.tmp";
  take(world.disk().make_dirs(left));
  for (int i = 0; i < 3; ++i) take(io::write_file(world.disk(), left + "/" + std::to_string(i), "half"));
  CHECK(take(run(world.loop(), world.backend().list(""))).empty());
  take(run(world.loop(), world.backend().put("app:v1", "whole")));
  CHECK(take(run(world.loop(), world.backend().get("app:v1", 100))) == "whole");
}

}  // namespace
}  // namespace krakend::test
