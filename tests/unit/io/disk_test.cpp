#include <sys/stat.h>

#include <thread>

#include "unit/io/disk_contract.h"

namespace krakend::test {
namespace {

using World = SystemWorld<0>;

TEST_CASE("posix disk: files") {
  file_contract<World>();
}
TEST_CASE("posix disk: opening") {
  open_contract<World>();
}
TEST_CASE("posix disk: names") {
  names_contract<World>();
}
TEST_CASE("posix disk: helpers") {
  helper_contract<World>();
}

TEST_CASE("posix disk: modes are 0666 and 0775 before umask") {
  World world;
  const mode_t before = ::umask(0);
  take(io::write_file(world.disk(), world.directory() + "/file", ""));
  take(world.disk().make_dirs(world.directory() + "/dir"));
  ::umask(before);
  struct stat info {};
  REQUIRE(::stat((world.directory() + "/file").c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0666);
  REQUIRE(::stat((world.directory() + "/dir").c_str(), &info) == 0);
  CHECK((info.st_mode & 0777) == 0775);
}

TEST_CASE("posix disk: a full device is no_space and names the file") {
  World world;
  auto full = world.disk().open("/dev/full", io::OpenMode::read_write);
  if (!full) return;  // no such device here
  const auto written = (*full)->write_at(0, as_bytes("x"));
  CHECK(code_of(written) == Errc::no_space);
  CHECK(written.error().message.find("/dev/full") != std::string::npos);
}

TEST_CASE("posix disk: reserving more than there is fails before it takes anything") {
  World world;
  auto file = take(world.disk().open(world.directory() + "/file", io::OpenMode::create));
  take(file->write_at(0, as_bytes("abc")));
  const auto space = take(world.disk().space(world.directory()));
  const auto allocated = file->allocate(space.total + 3);
  CHECK(code_of(allocated) == Errc::no_space);
  CHECK(allocated.error().message.find("/file") != std::string::npos);
  CHECK(take(file->size()) == 3);
}

TEST_CASE("durable writers of one file do not disturb each other") {
  World world;
  const auto path = world.directory() + "/file";
  const std::string contents[] = {std::string(5000, 'a'), std::string(3000, 'b')};
  bool failed[] = {false, false};
  std::vector<std::thread> threads;
  for (size_t i = 0; i < 2; ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 50; ++round) {
        if (!io::write_file_durably(world.disk(), path, contents[i])) failed[i] = true;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK_FALSE(failed[0]);
  CHECK_FALSE(failed[1]);
  const auto text = text_of(world.disk(), path);
  CHECK((text == contents[0] || text == contents[1]));
  CHECK(take(world.disk().list(world.directory())).size() == 1);
}

TEST_CASE("parent_path") {
  CHECK(io::parent_path("/a/b") == "/a");
  CHECK(io::parent_path("/a") == "/");
  CHECK(io::parent_path("a") == ".");
  CHECK(io::parent_path("a/b/c") == "a/b");
}

}  // namespace
}  // namespace krakend::test
