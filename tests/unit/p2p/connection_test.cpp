#include "p2p/connection.h"

#include <memory>
#include <vector>

#include "support/read_exact.h"
#include "unit/io/net_support.h"

namespace krakend::test {
namespace {

using p2p::AnnouncePiece;
using p2p::Connection;
using p2p::PiecePayload;

constexpr uint64_t blob_size = 8 * MiB;  // more than the sockets of one connection hold

/// One end is a connection, the other one a plain stream.
struct Stage {
  SystemWorld<2> world;
  std::vector<std::byte> content = random_bytes(blob_size, 7);
  p2p::Backlog backlog{world.loop};
  p2p::UploadTurns turns{world.clock(), backlog};
  io::Bandwidth egress{world.clock()};
  std::shared_ptr<const MetaInfo> info = std::make_shared<const MetaInfo>(
      take(MetaInfo::make(Digest::of(as_text(content)), blob_size, blob_size, {crc32(0, content)})));
  Pair pair = connect_pair(world);
  p2p::ConnectionPtr connection = make();
  io::TaskGroup tasks{world.loop};

  p2p::ConnectionPtr make() {
    p2p::Handshake peer;
    peer.have = Bitfield(info->piece_count());
    return std::make_shared<Connection>(world.loop, backlog, info, pair.opened, std::move(peer), std::nullopt,
                                        false, true, world.clock().now());
  }
  Connection::Payload payload() {
    Connection::Payload made;
    made.file = file_of(world, "blob", content);
    made.egress = &egress;
    made.turns = &turns;
    made.clock = &world.clock();
    made.may_send = [](PieceIndex) -> Task<bool> { co_return true; };
    made.sent = [](PieceIndex) {};
    return made;
  }
  void start_writer() { tasks.spawn(Connection::write_loop(connection, payload()), "writer"); }
  /// What has come across already.
  size_t arrived() {
    std::vector<std::byte> buffer(64);
    const auto got = pair.accepted->read_now(buffer);
    return got ? take(*got) : 0;
  }
  void stop() {
    connection->close();
    world.run(tasks.stop());
  }
};

/// The index of the announcement that comes next.
Task<uint32_t> announced(io::Stream& stream) {
  const auto message = take(co_await p2p::read_message(stream));
  co_return std::get<AnnouncePiece>(message).index;
}

TEST_CASE("connection: a message on an idle one goes at once, without its writer") {
  Stage stage;
  const size_t size = p2p::encode_frame(AnnouncePiece{0}).size();
  stage.connection->send(AnnouncePiece{0});
  CHECK(stage.arrived() == 0);  // the writer has not begun: the handshake may still be on its way
  stage.start_writer();
  while (stage.arrived() == 0) stage.world.loop.poll();
  stage.world.loop.poll();
  stage.connection->send(AnnouncePiece{0});
  CHECK(stage.arrived() == size);
  stage.stop();
}

TEST_CASE("connection: messages do not cut into a payload, and keep their order") {
  Stage stage;
  stage.start_writer();
  stage.connection->send_piece(0, stage.world.clock().now(), 1);
  const auto body = [&]() -> Task<> {
    auto& stream = *stage.pair.accepted;
    const auto first = take(co_await p2p::read_message(stream));
    REQUIRE(std::get<PiecePayload>(first).length == blob_size);
    std::vector<std::byte> received(blob_size);
    const auto begin = std::span(received).first(1 * MiB);
    take(co_await test::read_exact(stream, begin));
    stage.connection->send(AnnouncePiece{1});
    stage.connection->send(AnnouncePiece{2});
    take(co_await test::read_exact(stream, std::span(received).subspan(begin.size())));
    const bool whole = received == stage.content;
    CHECK(whole);
    const auto one = co_await announced(stream);
    CHECK(one == 1);
    const auto two = co_await announced(stream);
    CHECK(two == 2);
  };
  stage.world.run(body());
  stage.stop();
}

TEST_CASE("connection: what a peer wants that takes nothing is no load, until it takes something") {
  Stage stage;
  auto& world = stage.world;
  stage.start_writer();
  stage.connection->send_piece(0, world.clock().now(), 1);
  CHECK(stage.backlog.load().queued == blob_size);
  const auto full = [&]() -> Task<> {
    for (uint64_t before = 0; stage.pair.opened->bytes_sent() > before || before == 0;) {
      before = stage.pair.opened->bytes_sent();
      co_await world.clock().sleep(100ms);
    }
  };
  world.run(full());
  const TimePoint began = world.clock().now();
  stage.connection->look_for_halt(began + 10s);  // what the sockets hold was taken since the last look
  CHECK(stage.backlog.load().queued == blob_size);
  stage.connection->look_for_halt(began);  // the transfer is young
  CHECK(stage.backlog.load().queued == blob_size);
  stage.connection->look_for_halt(began + 10s);
  CHECK(stage.backlog.load().queued == 0);
  stage.connection->send_piece(0, began, 2);
  CHECK(stage.backlog.load().queued == 0);
  CHECK(stage.connection->cancel_piece(0));
  CHECK(stage.backlog.load().queued == 0);
  const auto body = [&]() -> Task<> {
    auto& stream = *stage.pair.accepted;
    (void)take(co_await p2p::read_message(stream));
    std::vector<std::byte> received(blob_size);
    const auto begin = std::span(received).first(blob_size / 2);
    take(co_await test::read_exact(stream, begin));
    stage.connection->look_for_halt(began + 11s);
    CHECK(stage.backlog.load().queued == blob_size);
    take(co_await test::read_exact(stream, std::span(received).subspan(begin.size())));
  };
  world.run(body());
  while (stage.backlog.load().queued > 0) world.loop.poll();
  stage.stop();
}

TEST_CASE("connection: it knows what the peer reckons of our load, by whatever message it was told") {
  Stage stage;
  auto& connection = *stage.connection;
  const TimePoint now = stage.world.clock().now();
  CHECK(connection.knows_load(1, now));
  connection.send_piece(0, now, 1);
  CHECK_FALSE(connection.knows_load(blob_size, now));
  CHECK(connection.knows_load(blob_size + 1, now));
  CHECK(connection.tell_load(now).queued == blob_size);
  CHECK(connection.knows_load(1, now));
  CHECK(connection.cancel_piece(0));
  CHECK_FALSE(connection.knows_load(blob_size, now + 1h));
  connection.told({blob_size, blob_size}, now);
  CHECK_FALSE(connection.knows_load(blob_size / 2 + 1, now));
  CHECK(connection.knows_load(blob_size / 2 + 1, now + 500ms));
  CHECK(connection.knows_load(1, now + 1s));
  stage.stop();
}

TEST_CASE("connection: what the other side does not read is kept in order up to a limit") {
  Stage stage;
  stage.start_writer();
  stage.world.loop.poll();
  uint32_t sent = 0;
  // The sockets take some of them at once, a frame maybe in part; the rest waits.
  while (stage.pair.opened->bytes_sent() < 64 * KiB || sent < 300'000)
    stage.connection->send(AnnouncePiece{sent++});
  REQUIRE_FALSE(stage.connection->closed());
  const auto body = [&]() -> Task<> {
    for (uint32_t i = 0; i < sent; ++i) {
      const auto index = co_await announced(*stage.pair.accepted);
      REQUIRE(index == i);
    }
  };
  stage.world.run(body());
  while (!stage.connection->closed()) stage.connection->send(AnnouncePiece{0});
  CHECK(stage.connection->unread());
  stage.stop();
}

}  // namespace
}  // namespace krakend::test
