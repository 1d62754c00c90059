#pragma once

#include <optional>

#include "krakend/core/hex.h"
#include "krakend/core/units.h"
#include "support/read_exact.h"
#include "unit/io/net_support.h"

// What an implementation of Net, Listener and Stream must do. A world has `Loop loop`, `clock()`, `net()`,
// `disk()`, `directory()` and run(); names "127.0.0.1" and "localhost" are its own host.

namespace krakend::test {

/// write_now() and read_now(): what goes without waiting goes in order with the rest.
template <class World>
void immediate_contract() {
  World world;
  Pair pair = connect_pair(world);
  const auto sent = random_bytes(4 * MiB, 2);
  std::vector<std::byte> received(sent.size());
  CHECK_FALSE(pair.accepted->read_now(received));
  size_t now = 0;
  for (size_t put = 1; put > 0; now += put)
    put = pair.opened->write_now(std::span(sent).subspan(now, std::min<size_t>(64 * KiB, sent.size() - now)));
  CHECK(pair.opened->bytes_sent() == now);
  const auto writer = [&]() -> Task<> { take(co_await pair.opened->write(std::span(sent).subspan(now))); };
  const auto reader = [&]() -> Task<> {
    auto rest = std::span(received);
    while (!rest.empty()) {
      auto got = pair.accepted->read_now(rest);
      if (!got) got = co_await pair.accepted->read_some(rest);
      rest = rest.subspan(take(std::move(*got)));
    }
  };
  world.run(both(world.loop, writer(), reader()));
  CHECK(sent == received);
  CHECK_FALSE(pair.accepted->read_now(received));
  pair.opened->shutdown();
  CHECK(pair.opened->write_now(as_bytes("x")) == 0);
  if (const auto got = pair.opened->read_now(received)) CHECK(code_of(*got) == Errc::cancelled);
}

/// Wants words of `size` bytes, `words` of them.
class WordReader : public io::Reader {
 public:
  WordReader(size_t size, size_t words) : size_(size), left_(words) {}
  std::span<std::byte> space() override {
    word_.resize(size_);
    return std::as_writable_bytes(std::span<char>(word_)).subspan(filled_);
  }
  bool took(Result<size_t> got) override {
    if (!got) failure = got.error().code;
    ended = got && *got == 0;
    if (!got || ended) return false;
    filled_ += *got;
    if (filled_ < size_) return true;
    filled_ = 0;
    text += word_;
    return --left_ > 0;
  }
  std::string text;
  std::optional<Errc> failure;
  bool ended = false;

 private:
  const size_t size_;
  size_t left_;
  std::string word_;
  size_t filled_ = 0;
};

template <class World>
void reader_contract() {
  World world;
  Pair pair = connect_pair(world);

  SECTION("it is given what has come and what comes, and no byte more than it wants") {
    const auto body = [&]() -> Task<> {
      take(co_await pair.opened->write(as_bytes("one.two")));
      WordReader first(4, 1);
      co_await pair.accepted->read_into(first);
      CHECK(first.text == "one.");
      WordReader second(5, 3);
      const auto late = [&]() -> Task<> {
        for (const char* part : {".th", "re", "e.four."}) {
          co_await world.clock().sleep(1ms);
          take(co_await pair.opened->write(as_bytes(part)));
        }
      };
      co_await both(world.loop, pair.accepted->read_into(second), late());
      CHECK(second.text == "two.three.four.");
      CHECK_FALSE(second.failure);
    };
    world.run(body());
  }
  SECTION("it learns of the end, and of a shutdown") {
    const auto body = [&]() -> Task<> {
      WordReader last(4, 1);
      take(co_await pair.opened->write(as_bytes("abc")));
      pair.opened.reset();
      co_await pair.accepted->read_into(last);
      CHECK(last.ended);
      WordReader none(4, 1);
      const auto stop = [&]() -> Task<> {
        co_await world.clock().sleep(1ms);
        pair.accepted->shutdown();
      };
      pair = co_await open_pair(world);
      co_await both(world.loop, pair.accepted->read_into(none), stop());
      CHECK(none.failure == Errc::cancelled);
    };
    world.run(body());
  }
}

/// Words that come together.
template <class World>
void bunch_contract() {
  World world;
  Pair pair = connect_pair(world);

  SECTION("words of any length one behind the other") {
    const size_t size = GENERATE(1, 7, 511, 512, 513, 3000);
    CAPTURE(size);
    constexpr size_t words = 40;
    std::string text;
    for (size_t index = 0; text.size() < (words + 1) * size; ++index) text += std::to_string(index);
    const auto body = [&]() -> Task<> {
      WordReader most(size, words);
      take(co_await pair.opened->write(as_bytes(text)));
      co_await pair.accepted->read_into(most);
      CHECK(most.text == text.substr(0, words * size));
      WordReader last(text.size() - words * size, 1);
      co_await pair.accepted->read_into(last);
      CHECK(last.text == text.substr(words * size));
      CHECK(pair.accepted->bytes_received() == text.size());
    };
    world.run(body());
  }
  SECTION("it may end the stream it is fed from") {
    struct Ending final : WordReader {
      explicit Ending(io::Stream& from) : WordReader(4, 2), stream(from) {}
      bool took(Result<size_t> got) override {
        const bool more = WordReader::took(std::move(got));
        stream.shutdown();
        return more;
      }
      io::Stream& stream;
    };
    const auto body = [&]() -> Task<> {
      take(co_await pair.opened->write(as_bytes("one.two.three")));
      Ending ending(*pair.accepted);
      co_await pair.accepted->read_into(ending);
      CHECK((ending.failure == Errc::cancelled || ending.text == "one.two."));
    };
    world.run(body());
  }
}

template <class World>
void stream_contract() {
  World world;
  Pair pair = connect_pair(world);

  SECTION("addresses of both ends mirror each other") {
    CHECK(pair.opened->peer() == pair.accepted->local());
    CHECK(pair.opened->local() == pair.accepted->peer());
    CHECK(pair.opened->peer().host == "127.0.0.1");
  }
  SECTION("bytes arrive in order and are counted") {
    const auto body = [&]() -> Task<> {
      std::vector<std::byte> buffer(11);
      take(co_await pair.opened->write(as_bytes("hello "), true));
      take(co_await pair.opened->write(as_bytes("world")));
      take(co_await pair.opened->write({}));
      take(co_await test::read_exact(*pair.accepted, buffer));
      CHECK(as_text(buffer) == "hello world");
      take(co_await pair.accepted->write(as_bytes("back")));
      const auto got = take(co_await pair.opened->read_some(buffer));
      CHECK(as_text(std::span(buffer).first(got)) == "back");
      CHECK(pair.opened->bytes_sent() == 11);
      CHECK(pair.accepted->bytes_received() == 11);
      CHECK(pair.accepted->bytes_sent() == 4);
      CHECK(pair.opened->bytes_received() == 4);
    };
    world.run(body());
  }
  SECTION("a write larger than all buffers waits for the reader") {
    const auto sent = random_bytes(16 * MiB, 1);
    std::vector<std::byte> received(sent.size());
    const auto writer = [&]() -> Task<> { take(co_await pair.opened->write(sent)); };
    const auto reader = [&]() -> Task<> { take(co_await test::read_exact(*pair.accepted, received)); };
    world.run(both(world.loop, writer(), reader()));
    CHECK(sent == received);
  }
  SECTION("the other side's end") {
    const auto body = [&]() -> Task<> {
      take(co_await pair.opened->write(as_bytes("abc")));
      pair.opened.reset();
      std::vector<std::byte> buffer(8);
      TextSink sink;
      const auto early = co_await test::read_exact(*pair.accepted, buffer);
      CHECK(code_of(early) == Errc::network);
      const auto none = take(co_await pair.accepted->read_some(buffer));
      CHECK(none == 0);
      const auto nothing = take(co_await pair.accepted->receive(sink, 8));
      CHECK(nothing == 0);
    };
    world.run(body());
  }
  SECTION("writing to who has gone fails") {
    const auto body = [&]() -> Task<> {
      pair.opened.reset();
      Result<void> written;
      for (int i = 0; i < 1000 && written; ++i) {
        written = co_await pair.accepted->write(as_bytes("x"));
        co_await world.clock().sleep(1ms);
      }
      CHECK(code_of(written) == Errc::network);
    };
    world.run(body());
  }
}

template <class World>
void receive_contract() {
  World world;
  Pair pair = connect_pair(world);
  TextSink sink;

  SECTION("what has arrived goes to the sink, never more than asked") {
    const auto body = [&]() -> Task<> {
      take(co_await pair.opened->write(as_bytes("0123456789")));
      const auto got = take(co_await pair.accepted->receive(sink, 4));
      CHECK(got == 4);
      CHECK(sink.text == "0123");
      uint64_t rest = 0;
      while (rest < 6) rest += take(co_await pair.accepted->receive(sink, 1000));
      CHECK(rest == 6);
      CHECK(sink.text == "0123456789");
    };
    world.run(body());
  }
  SECTION("a long stream passes through") {
    const auto sent = random_bytes(20 * MiB, 2);
    CrcSink sums;
    const auto writer = [&]() -> Task<> {
      take(co_await pair.opened->write(sent));
      pair.opened.reset();
    };
    const auto reader = [&]() -> Task<> {
      while (take(co_await pair.accepted->receive(sums, sent.size())) > 0) {
      }
    };
    world.run(both(world.loop, writer(), reader()));
    CHECK(sums.length == sent.size());
    CHECK(sums.sum == crc32(0, sent));
  }
  SECTION("what is expected may wait for a batch; it counts as received, and an early end lets it go") {
    const auto sent = random_bytes(300 * KiB, 3);
    CrcSink sums;
    const auto first = std::span<const std::byte>(sent).first(100 * KiB);
    const auto writer = [&]() -> Task<> {
      take(co_await pair.opened->write(first));
      while (pair.accepted->bytes_received() < first.size()) co_await world.loop.offload([] {});
      take(co_await pair.opened->write(std::span<const std::byte>(sent).subspan(first.size())));
      pair.opened.reset();
    };
    const auto reader = [&]() -> Task<> {
      uint64_t got = 0;
      do {
        pair.accepted->expect(1 * MiB);
        got = take(co_await pair.accepted->receive(sums, 1 * MiB));
      } while (got > 0);
    };
    world.run(both(world.loop, writer(), reader()));
    CHECK(sums.length == sent.size());
    CHECK(sums.sum == crc32(0, sent));
    CHECK(pair.accepted->bytes_received() == sent.size());
  }
  SECTION("an error of the sink comes back as it is") {
    FullSink full;
    const auto body = [&]() -> Task<> {
      take(co_await pair.opened->write(as_bytes("0123456789")));
      const auto got = co_await pair.accepted->receive(full, 10);
      CHECK(code_of(got) == Errc::no_space);
      CHECK(got.error().message == full_message);
    };
    world.run(body());
  }
}

template <class World>
void transfer_contract() {
  World world;
  Pair pair = connect_pair(world);
  constexpr uint64_t size = 32 * MiB + 12345;

  SECTION("files go both ways at once") {
    const auto data = random_bytes(size, 3);
    auto source = file_of(world, "source", data);
    uint32_t there = 0;
    uint32_t back = 0;
    std::vector<Task<>> tasks;
    tasks.push_back(send(pair.opened, source, 0, size));
    tasks.push_back(receive(pair.accepted, new_file(world, "there"), 0, size, there));
    tasks.push_back(send(pair.accepted, source, 1000, size - 1000));
    tasks.push_back(receive(pair.opened, new_file(world, "back"), 5, size - 1000, back));
    world.run(all(world.loop, std::move(tasks)));
    CHECK(there == crc32(0, data));
    CHECK(back == crc32(0, std::span(data).subspan(1000)));
    CHECK(sum_of(world, "there", 0, size) == there);
    CHECK(sum_of(world, "back", 5, size - 1000) == back);
    CHECK(pair.opened->bytes_sent() == size);
    CHECK(pair.opened->bytes_received() == size - 1000);
  }
  SECTION("a file without a descriptor") {
    const auto data = random_bytes(3 * MiB + 1, 4);
    const auto source = std::make_shared<WrappedFile>(file_of(world, "source", data));
    uint32_t sum = 0;
    world.run(both(world.loop, send(pair.opened, source, 0, data.size()),
                   receive(pair.accepted, new_file(world, "copy"), 0, data.size(), sum)));
    CHECK(sum == crc32(0, data));
  }
  SECTION("a tap sees the bytes that go into the file") {
    const auto data = random_bytes(3 * MiB + 1, 7);
    const auto source = file_of(world, "source", data);
    const auto target = new_file(world, "tapped");
    CrcSink tap;
    uint32_t sum = 0;
    const auto reader = [&]() -> Task<> {
      sum = take(co_await pair.accepted->receive_file(target, 0, data.size(), &tap));
    };
    world.run(both(world.loop, send(pair.opened, source, 0, data.size()), reader()));
    CHECK(sum == crc32(0, data));
    CHECK(tap.sum == sum);
    CHECK(sum_of(world, "tapped", 0, data.size()) == sum);
  }
  SECTION("nothing at all, and framing around it") {
    const auto source = file_of(world, "source", random_bytes(1 * MiB, 5));
    const auto target = new_file(world, "target");
    const auto body = [&]() -> Task<> {
      take(co_await pair.opened->send_file(source, 0, 0));
      const auto sum = take(co_await pair.accepted->receive_file(target, 0, 0));
      CHECK(sum == 0);
      // A single byte after a long transfer still wakes its reader.
      std::vector<std::byte> one(1);
      std::vector<Task<>> parts;
      uint32_t ignored = 0;
      co_await both(world.loop, send(pair.opened, source, 0, 1 * MiB),
                    receive(pair.accepted, target, 0, 1 * MiB, ignored));
      const auto timer = world.clock().after(2ms, [&] { pair.opened->shutdown(); });
      take(co_await pair.opened->write(as_bytes("x")));
      take(co_await test::read_exact(*pair.accepted, one));
      CHECK(as_text(one) == "x");
    };
    world.run(body());
  }
}

template <class World>
void broken_transfer_contract() {
  World world;
  Pair pair = connect_pair(world);

  SECTION("the sender ends in the middle") {
    const auto data = random_bytes(300 * KiB, 6);
    const auto target = new_file(world, "target");
    const auto writer = [&]() -> Task<> {
      take(co_await pair.opened->write(data));
      co_await world.clock().sleep(5ms);
      pair.opened.reset();
    };
    Result<uint32_t> got;
    const auto reader = [&]() -> Task<> { got = co_await pair.accepted->receive_file(target, 0, 1 * MiB); };
    world.run(both(world.loop, writer(), reader()));
    CHECK(code_of(got) == Errc::network);
    CHECK(pair.accepted->bytes_received() == data.size());
    CHECK(sum_of(world, "target", 0, data.size()) == crc32(0, data));
  }
  SECTION("the disk of the receiver is full") {
    const auto body = [&]() -> Task<> {
      take(co_await pair.opened->write(as_bytes("0123456789")));
      const auto got = co_await pair.accepted->receive_file(std::make_shared<FullFile>(), 0, 10);
      CHECK(code_of(got) == Errc::no_space);
      CHECK(got.error().message == full_message);
    };
    world.run(body());
  }
  SECTION("the file is shorter than what is to be sent") {
    const auto source = file_of(world, "source", random_bytes(1000, 7));
    const auto body = [&]() -> Task<> {
      const auto sent = co_await pair.opened->send_file(source, 500, 501);
      CHECK(code_of(sent) == Errc::io);
    };
    world.run(body());
  }
}

/// A sender that brings a transfer in small portions with pauses between them.
template <class World>
void trickle_contract() {
  World world;
  Pair pair = connect_pair(world);
  struct Case {
    size_t total;
    size_t portion;
    Duration pause;
    size_t pause_every;
  };
  const auto c = GENERATE(Case{400 * KiB, 5000, 1ms, 1},   // more than one batch
                          Case{3000, 1, 1ms, 100},         // single bytes
                          Case{300 * KiB, 37, 1ms, 500},   // many tiny segments within one batch
                          Case{2 * MiB, 70'000, 0ms, 1});  // just a little at a time
  const auto data = random_bytes(c.total, 8);
  const auto writer = [&]() -> Task<> {
    size_t portions = 0;
    for (size_t at = 0; at < data.size(); at += c.portion) {
      take(co_await pair.opened->write(std::span(data).subspan(at, std::min(c.portion, data.size() - at))));
      if (++portions % c.pause_every == 0) co_await world.clock().sleep(c.pause);
    }
  };
  uint32_t sum = 0;
  world.run(
      both(world.loop, writer(), receive(pair.accepted, new_file(world, "target"), 0, data.size(), sum)));
  CHECK(sum == crc32(0, data));
}

template <class World>
void crowd_contract() {
  World world;
  constexpr size_t streams = 40;
  constexpr uint64_t size = 1 * MiB + 7;
  const auto data = random_bytes(size, 9);
  const auto source = file_of(world, "source", data);
  std::vector<Pair> pairs;
  for (size_t i = 0; i < streams; ++i) pairs.push_back(connect_pair(world));
  std::vector<uint32_t> sums(streams);
  std::vector<Task<>> tasks;
  for (size_t i = 0; i < streams; ++i) {
    tasks.push_back(send(pairs[i].opened, source, 0, size));
    tasks.push_back(
        receive(pairs[i].accepted, new_file(world, "target" + std::to_string(i)), 0, size, sums[i]));
  }
  world.run(all(world.loop, std::move(tasks)));
  CHECK(sums == std::vector<uint32_t>(streams, crc32(0, data)));
}

}  // namespace krakend::test
