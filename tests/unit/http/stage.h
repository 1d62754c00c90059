#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "krakend/core/hex.h"
#include "krakend/http/client.h"
#include "krakend/http/server.h"
#include "krakend/io/condition.h"
#include "krakend/io/system.h"
#include "krakend/io/task_group.h"
#include "support/catch.h"
#include "support/run.h"
#include "support/temp_dir.h"

namespace krakend::http::test {

/// Loop, clock, network and disk that a server or client under test runs on.
class Stage {
 public:
  template <class T>
  T run(Task<T> task) {
    return krakend::test::run(loop, std::move(task));
  }
  /// Runs the loop until `done` says so.
  void until(const std::function<bool()>& done) {
    while (!done()) run(clock->sleep(1ms));
  }
  io::FilePtr file(const std::string& name, std::string_view content) {
    auto opened = disk->open(directory / name, io::OpenMode::create);
    REQUIRE(opened);
    REQUIRE((*opened)->write_at(0, as_bytes(content)));
    return *opened;
  }

  io::Loop loop;
  std::unique_ptr<io::Clock> clock = io::make_system_clock(loop);
  std::unique_ptr<io::Net> net = io::make_tcp_net(loop, *clock);
  std::unique_ptr<io::Disk> disk = io::make_posix_disk();
  krakend::test::TempDir directory;
};

/// `size` bytes that differ from place to place.
inline std::string pattern(size_t size) {
  std::string text(size, '\0');
  uint32_t state = 1;
  for (auto& c : text) {
    state = state * 1664525 + 1013904223;
    c = static_cast<char>(state >> 24);
  }
  return text;
}

/// What came over the wire as one response.
struct WireResponse {
  int status = 0;
  Headers headers;
  std::string body;
  std::string raw_head;
};

/// A connection of the test's own, on which it says what it likes. Each call runs the loop until it is done.
class Wire {
 public:
  Wire(Stage& stage, const io::Address& to) : stage_(stage) {
    auto stream = stage.run(stage.net->connect(to, 5s));
    REQUIRE(stream);
    stream_ = *stream;
  }
  Wire(Stage& stage, io::StreamPtr stream) : stage_(stage), stream_(std::move(stream)) {}

  Wire& send(std::string_view bytes) {
    stage_.run(write(stream_, std::string(bytes)));
    return *this;
  }
  /// The next response; `bodiless` for the answer to a HEAD. Status 0: the connection was closed before its
  /// end.
  WireResponse response(bool bodiless = false) { return stage_.run(read_response(bodiless)); }
  /// The next `size` bytes, fewer when the connection is closed.
  std::string bytes(size_t size) { return stage_.run(read_bytes(size)); }
  /// Everything until the other side closes.
  std::string rest() { return bytes(std::string::npos); }
  bool closed() { return rest().empty(); }
  void leave() { stream_->shutdown(); }
  io::StreamPtr stream() { return stream_; }

 private:
  static Task<> write(io::StreamPtr stream, std::string bytes) {
    co_await stream->write(as_bytes(bytes));  // a server that refuses may be gone already
  }
  Task<bool> more() {
    std::array<std::byte, 16384> part;
    auto got = co_await stream_->read_some(part);
    if (!got || *got == 0) co_return false;
    buffer_ += as_text(std::span(part).first(*got));
    co_return true;
  }
  Task<std::string> read_bytes(size_t size) {
    while (buffer_.size() < size) {
      const bool got = co_await more();
      if (!got) break;
    }
    auto text = buffer_.substr(0, size);
    buffer_.erase(0, text.size());
    co_return text;
  }
  Task<WireResponse> read_response(bool bodiless);

  Stage& stage_;
  io::StreamPtr stream_;
  std::string buffer_;
};

inline Task<WireResponse> Wire::read_response(bool bodiless) {
  WireResponse response;
  size_t end = 0;
  while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
    const bool got = co_await more();
    if (!got) co_return WireResponse{};
  }
  response.raw_head = buffer_.substr(0, end + 4);
  buffer_.erase(0, end + 4);
  response.status = std::stoi(response.raw_head.substr(9, 3));
  for (size_t at = response.raw_head.find("\r\n") + 2; at < end;) {
    const auto stop = response.raw_head.find("\r\n", at);
    const auto colon = response.raw_head.find(": ", at);
    response.headers.add(response.raw_head.substr(at, colon - at),
                         response.raw_head.substr(colon + 2, stop - colon - 2));
    at = stop + 2;
  }
  if (bodiless || !response.headers.has("Content-Length")) co_return response;
  const auto length = std::stoull(std::string(response.headers.get("Content-Length")));
  response.body = co_await read_bytes(length);
  if (response.body.size() < length) response.status = 0;
  co_return response;
}

}  // namespace krakend::http::test
