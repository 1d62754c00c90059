#pragma once

#include <algorithm>

#include "krakend/core/hex.h"
#include "unit/io/support.h"

// What an implementation of Disk and File must do. A world has `Disk& disk()` and `std::string directory()`,
// an existing empty directory of it.

namespace krakend::test {

inline std::string text_of(io::Disk& disk, const std::string& path) {
  return take(io::read_file(disk, path, 1 << 20));
}

template <class World>
void file_contract() {
  World world;
  io::Disk& disk = world.disk();
  const auto path = world.directory() + "/file";
  auto file = take(disk.open(path, io::OpenMode::create));
  std::vector<std::byte> buffer(64);

  SECTION("what is written is read, also with a gap and past the end") {
    take(file->write_at(3, as_bytes("abc")));
    CHECK(take(file->size()) == 6);
    CHECK(take(file->read_at(0, buffer)) == 6);
    CHECK(as_text(std::span(buffer).first(6)) == std::string_view("\0\0\0abc", 6));
    CHECK(take(file->read_at(5, buffer)) == 1);
    CHECK(take(file->read_at(6, buffer)) == 0);
    CHECK(take(file->read_at(600, buffer)) == 0);
  }
  SECTION("allocate makes the file that long and keeps what is there") {
    take(file->write_at(0, as_bytes("abc")));
    take(file->allocate(1 << 20));
    CHECK(take(file->size()) == 1 << 20);
    CHECK(take(file->read_at(0, std::span(buffer).first(4))) == 4);
    CHECK(as_text(std::span(buffer).first(4)) == std::string_view("abc\0", 4));
    take(file->allocate(0));
    CHECK(take(file->size()) == 0);
  }
  SECTION("truncate cuts and extends") {
    take(file->write_at(0, as_bytes("abcdef")));
    take(file->truncate(2));
    take(file->truncate(4));
    CHECK(text_of(disk, path) == std::string("ab\0\0", 4));
  }
  SECTION("sync succeeds") {
    take(file->write_at(0, as_bytes("abc")));
    take(file->sync());
  }
  SECTION("an open file lives on under another name and without one") {
    take(file->write_at(0, as_bytes("abc")));
    take(disk.rename(path, path + "2"));
    take(file->write_at(3, as_bytes("def")));
    CHECK(text_of(disk, path + "2") == "abcdef");
    take(disk.remove(path + "2"));
    CHECK(take(file->read_at(0, buffer)) == 6);
  }
  SECTION("a file opened for reading refuses to be written") {
    auto reader = take(disk.open(path, io::OpenMode::read));
    CHECK_FALSE(reader->write_at(0, as_bytes("x")));
  }
}

template <class World>
void open_contract() {
  World world;
  io::Disk& disk = world.disk();
  const auto path = world.directory() + "/file";

  SECTION("missing file") {
    CHECK(code_of(disk.open(path, io::OpenMode::read)) == Errc::not_found);
    CHECK(code_of(disk.open(path, io::OpenMode::read_write)) == Errc::not_found);
    CHECK(code_of(disk.open(path + "/x", io::OpenMode::create)) == Errc::not_found);
    const auto opened = disk.open(path, io::OpenMode::read);
    CHECK(opened.error().message.find(path) != std::string::npos);
  }
  SECTION("create keeps, truncate empties, create_new refuses") {
    take(io::write_file(disk, path, "abc"));
    take(disk.open(path, io::OpenMode::create));
    CHECK(text_of(disk, path) == "abc");
    CHECK(code_of(disk.open(path, io::OpenMode::create_new)) == Errc::already_exists);
    CHECK(text_of(disk, path) == "abc");
    take(disk.open(path, io::OpenMode::truncate));
    CHECK(text_of(disk, path).empty());
    take(disk.open(path + "2", io::OpenMode::create_new));
    CHECK(text_of(disk, path + "2").empty());
  }
}

template <class World>
void names_contract() {
  World world;
  io::Disk& disk = world.disk();
  const auto dir = world.directory();

  SECTION("rename replaces a file, not a directory that has something in it") {
    take(io::write_file(disk, dir + "/a", "new"));
    take(io::write_file(disk, dir + "/b", "old"));
    take(disk.rename(dir + "/a", dir + "/b"));
    CHECK(text_of(disk, dir + "/b") == "new");
    CHECK(code_of(disk.stat(dir + "/a")) == Errc::not_found);
    CHECK(code_of(disk.rename(dir + "/a", dir + "/c")) == Errc::not_found);
    take(disk.make_dirs(dir + "/full/x"));
    take(disk.make_dirs(dir + "/other"));
    CHECK(code_of(disk.rename(dir + "/other", dir + "/full")) == Errc::already_exists);
    CHECK(code_of(disk.rename(dir + "/b", dir + "/full")) == Errc::already_exists);
  }
  SECTION("two names of one file") {
    take(io::write_file(disk, dir + "/a", "abc"));
    take(disk.hard_link(dir + "/a", dir + "/b"));
    take(disk.remove(dir + "/a"));
    CHECK(text_of(disk, dir + "/b") == "abc");
    take(io::write_file(disk, dir + "/c", ""));
    CHECK(code_of(disk.hard_link(dir + "/b", dir + "/c")) == Errc::already_exists);
    CHECK(code_of(disk.hard_link(dir + "/none", dir + "/d")) == Errc::not_found);
  }
  SECTION("removing") {
    CHECK(code_of(disk.remove(dir + "/none")) == Errc::not_found);
    take(disk.remove_all(dir + "/none"));
    take(disk.make_dirs(dir + "/a/b/c"));
    take(io::write_file(disk, dir + "/a/b/file", "x"));
    CHECK_FALSE(disk.remove(dir + "/a"));
    take(disk.remove_all(dir + "/a"));
    CHECK(code_of(disk.stat(dir + "/a")) == Errc::not_found);
  }
  SECTION("directories") {
    take(disk.make_dirs(dir + "/a/b"));
    take(disk.make_dirs(dir + "/a/b"));
    take(disk.sync_dir(dir + "/a"));
    CHECK(code_of(disk.sync_dir(dir + "/none")) == Errc::not_found);
    CHECK(take(disk.stat(dir + "/a/b")).directory);
    take(io::write_file(disk, dir + "/a/file", "abcd"));
    CHECK(take(disk.stat(dir + "/a/file")).size == 4);
    CHECK_FALSE(take(disk.stat(dir + "/a/file")).directory);
    CHECK(code_of(disk.make_dirs(dir + "/a/file")) == Errc::already_exists);
    CHECK(code_of(disk.make_dirs(dir + "/a/file/x")) == Errc::already_exists);
    take(io::write_file(disk, dir + "/a/A", ""));
    CHECK(take(disk.list(dir + "/a")) == std::vector<std::string>{"A", "b", "file"});
    CHECK(take(disk.list(dir + "/a/b")).empty());
    CHECK(code_of(disk.list(dir + "/none")) == Errc::not_found);
  }
  SECTION("space") {
    const auto space = take(disk.space(dir));
    CHECK(space.total > 0);
    CHECK(space.available <= space.total);
    CHECK(code_of(disk.space(dir + "/none")) == Errc::not_found);
  }
}

template <class World>
void helper_contract() {
  World world;
  io::Disk& disk = world.disk();
  const auto path = world.directory() + "/file";

  SECTION("whole files") {
    CHECK(code_of(io::read_file(disk, path, 10)) == Errc::not_found);
    take(io::write_file(disk, path, "0123456789"));
    CHECK(take(io::read_file(disk, path, 10)) == "0123456789");
    CHECK(code_of(io::read_file(disk, path, 9)) == Errc::too_large);
    take(io::write_file(disk, path, "x"));
    CHECK(text_of(disk, path) == "x");
  }
  SECTION("a durable file replaces the old one and leaves nothing beside it") {
    take(io::write_file(disk, path, "old"));
    take(io::write_file_durably(disk, path, "new"));
    CHECK(text_of(disk, path) == "new");
    CHECK(take(disk.list(world.directory())).size() == 1);
  }
  SECTION("a durable file that cannot get its name leaves nothing behind") {
    take(disk.make_dirs(path + "/x"));
    CHECK(code_of(io::write_file_durably(disk, path, "new")) == Errc::already_exists);
    CHECK(take(disk.list(world.directory())).size() == 1);
    CHECK(code_of(io::write_file_durably(disk, world.directory() + "/none/file", "x")) == Errc::not_found);
  }
}

}  // namespace krakend::test
