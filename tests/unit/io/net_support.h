#pragma once

#include <string>
#include <string_view>

#include "krakend/core/hex.h"
#include "unit/io/support.h"

namespace krakend::test {

/// Both ends of one connection.
struct Pair {
  io::StreamPtr opened;
  io::StreamPtr accepted;
};

inline Task<> shake_hands(io::StreamPtr stream) {
  take(co_await stream->handshake());
}

template <class World>
Task<Pair> open_pair(World& world) {
  auto listener = take(world.net().listen({"127.0.0.1", 0}));
  auto opened = take(co_await world.net().connect(listener->local(), 10s));
  auto accepted = take(co_await listener->accept());
  co_await both(world.loop, shake_hands(opened), shake_hands(accepted));
  co_return Pair{std::move(opened), std::move(accepted)};
}

template <class World>
Pair connect_pair(World& world) {
  return world.run(open_pair(world));
}

class TextSink final : public io::ByteSink {
 public:
  Result<void> write(std::span<const std::byte> data) override {
    text.append(as_text(data));
    return {};
  }
  std::string text;
};

class CrcSink final : public io::ByteSink {
 public:
  Result<void> write(std::span<const std::byte> data) override {
    sum = crc32(sum, data);
    length += data.size();
    return {};
  }
  uint32_t sum = 0;
  uint64_t length = 0;
};

constexpr std::string_view full_message = "write /there: the disk is full";

class FullSink final : public io::ByteSink {
 public:
  Result<void> write(std::span<const std::byte> /*data*/) override {
    return fail(Errc::no_space, "{}", full_message);
  }
};

/// A file that no byte fits into.
class FullFile final : public io::File {
 public:
  Result<size_t> read_at(uint64_t /*offset*/, std::span<std::byte> /*out*/) override { return 0; }
  Result<void> write_at(uint64_t /*offset*/, std::span<const std::byte> /*data*/) override {
    return fail(Errc::no_space, "{}", full_message);
  }
  Result<void> allocate(uint64_t /*size*/) override { return {}; }
  Result<void> truncate(uint64_t /*size*/) override { return {}; }
  Result<void> sync() override { return {}; }
  Result<uint64_t> size() override { return 0; }
  int descriptor() const override { return -1; }
};

/// Another file without its descriptor.
class WrappedFile final : public io::File {
 public:
  explicit WrappedFile(io::FilePtr file) : file_(std::move(file)) {}
  Result<size_t> read_at(uint64_t offset, std::span<std::byte> out) override {
    return file_->read_at(offset, out);
  }
  Result<void> write_at(uint64_t offset, std::span<const std::byte> data) override {
    return file_->write_at(offset, data);
  }
  Result<void> allocate(uint64_t size) override { return file_->allocate(size); }
  Result<void> truncate(uint64_t size) override { return file_->truncate(size); }
  Result<void> sync() override { return file_->sync(); }
  Result<uint64_t> size() override { return file_->size(); }
  int descriptor() const override { return -1; }

 private:
  io::FilePtr file_;
};

template <class World>
io::FilePtr new_file(World& world, const std::string& name) {
  return take(world.disk().open(world.directory() + "/" + name, io::OpenMode::truncate));
}

template <class World>
io::FilePtr file_of(World& world, const std::string& name, std::span<const std::byte> data) {
  auto file = new_file(world, name);
  take(file->write_at(0, data));
  return file;
}

/// CRC-32 of a range of a file.
template <class World>
uint32_t sum_of(World& world, const std::string& name, uint64_t offset, uint64_t length) {
  auto file = take(world.disk().open(world.directory() + "/" + name, io::OpenMode::read));
  std::vector<std::byte> data(length);
  if (take(file->read_at(offset, data)) != length) throw std::runtime_error(name + " is too short");
  return crc32(0, data);
}

inline Task<> send(io::StreamPtr stream, io::FilePtr file, uint64_t offset, uint64_t length) {
  take(co_await stream->send_file(file, offset, length));
}

/// Puts the CRC-32 of what came into `sum`.
inline Task<> receive(io::StreamPtr stream, io::FilePtr file, uint64_t offset, uint64_t length,
                      uint32_t& sum) {
  sum = take(co_await stream->receive_file(file, offset, length));
}

}  // namespace krakend::test
