#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "krakend/core/hex.h"
#include "krakend/io/system.h"
#include "krakend/p2p/engine.h"
#include "support/catch.h"
#include "support/read_exact.h"
#include "support/run.h"
#include "support/temp_dir.h"

namespace krakend::test {

/// A tracker that says what the test wrote into it.
struct ScriptedTracker final : p2p::Tracker {
  Task<Result<MetaInfo>> metainfo(std::string /*ns*/, Digest digest) override {
    ++metainfo_calls;
    const auto found = known.find(digest);
    if (found == known.end()) co_return fail(Errc::not_found, "no origin has {}", digest.str());
    co_return found->second;
  }
  Task<Result<AnnounceResponse>> announce(AnnounceRequest request) override {
    announces.push_back(std::move(request));
    AnnounceResponse response;
    response.peers = peers;
    response.interval_ns = std::chrono::nanoseconds(10ms).count();
    co_return response;
  }
  std::map<Digest, MetaInfo> known;
  std::vector<PeerInfo> peers;
  std::vector<AnnounceRequest> announces;
  int metainfo_calls = 0;
};

/// The raw end of a connection to an engine: bytes in, bytes out.
class RawPeer {
 public:
  RawPeer(io::Loop& loop, io::StreamPtr stream) : loop_(loop), stream_(std::move(stream)) {}
  RawPeer(const RawPeer&) = delete;
  RawPeer& operator=(const RawPeer&) = delete;
  ~RawPeer() { stream_->shutdown(); }

  void send(std::string_view bytes) {
    const auto sent = run(loop_, write(bytes));
    REQUIRE(sent);
  }
  /// Exactly `size` bytes.
  std::string read(size_t size) {
    std::string bytes(size, '\0');
    const auto got = run(loop_, fill(bytes));
    INFO((got ? std::string() : got.error().message));
    REQUIRE(got);
    return bytes;
  }
  /// One frame with its length prefix.
  std::string read_frame() {
    std::string frame = read(4);
    size_t length = 0;
    for (const char byte : frame) length = length << 8 | static_cast<uint8_t>(byte);
    REQUIRE(length < 100'000);
    return frame + read(length);
  }
  /// Whether the engine ended the connection, whatever it sent before.
  bool closed() {
    std::string byte(1, '\0');
    while (run(loop_, fill(byte))) {
    }
    return true;
  }

 private:
  Task<Result<void>> write(std::string_view bytes) { co_return co_await stream_->write(as_bytes(bytes)); }
  Task<Result<void>> fill(std::string& bytes) {
    co_return co_await test::read_exact(*stream_,
                                        std::as_writable_bytes(std::span(bytes.data(), bytes.size())));
  }

  io::Loop& loop_;
  io::StreamPtr stream_;
};

/// One engine with its store, on loopback.
class EngineStage {
 public:
  explicit EngineStage(std::string_view peer_id, p2p::EngineOptions options = {}, bool origin = false) {
    REQUIRE(store.open_directories());
    p2p::EngineSelf self;
    self.peer_id = *PeerId::parse(peer_id);
    self.ip = "127.0.0.1";
    self.listen_host = "127.0.0.1";
    self.origin = origin;
    self.port = free_port();  // behind a port that the engine picks, its id would be another
    engine = std::make_unique<p2p::Engine>(p2p::Engine::Services{loop, *clock, *random, *net, store, metrics},
                                           self, options, &tracker, Logger());
    const auto bound = engine->start();
    REQUIRE(bound);
    address = *bound;
  }
  ~EngineStage() {
    run(loop, engine->stop());
    engine.reset();
  }

  uint16_t free_port() {
    auto listener = net->listen({"127.0.0.1", 0});
    REQUIRE(listener);
    return (*listener)->local().port;
  }
  /// Puts a blob into the store, cut into pieces of `piece_length`.
  Digest put(const std::string& data, uint64_t piece_length) {
    const auto digest = Digest::of(data);
    auto upload = run(loop, store.create_upload());
    REQUIRE(upload);
    REQUIRE((*upload)->writer(0)->write(as_bytes(data)));
    REQUIRE(run(loop, (*upload)->commit(digest, piece_length)));
    return digest;
  }
  std::unique_ptr<RawPeer> dial() {
    auto stream = run(loop, net->connect(address, 5s));
    REQUIRE(stream);
    return std::make_unique<RawPeer>(loop, *stream);
  }
  /// A place that the engine dials when the tracker names it.
  std::unique_ptr<io::Listener> listen(std::string_view peer_id, bool origin = false) {
    auto listener = net->listen({"127.0.0.1", 0});
    REQUIRE(listener);
    tracker.peers.push_back({*PeerId::parse(peer_id), "127.0.0.1", (*listener)->local().port, origin, true});
    return std::move(*listener);
  }
  std::unique_ptr<RawPeer> accept(io::Listener& listener) {
    auto stream = run(loop, listener.accept());
    REQUIRE(stream);
    return std::make_unique<RawPeer>(loop, *stream);
  }
  /// All bytes of an opened blob, as a client gets them.
  std::string read_all(const io::ContentPtr& content) {
    const auto waited = run(loop, wait_whole(content));
    INFO((waited ? std::string() : waited.error().message));
    REQUIRE(waited);
    std::string text(content->size(), '\0');
    REQUIRE(content->file()->read_at(0, std::as_writable_bytes(std::span(text.data(), text.size()))));
    return text;
  }
  static Task<Result<void>> wait_whole(io::ContentPtr content) {
    for (uint64_t end = 0; end < content->size();) {
      auto ready = co_await content->ready(end);
      if (!ready) co_return propagate(ready);
      end = *ready;
    }
    co_return Result<void>{};
  }

  /// Whether `condition` comes to hold.
  static Task<bool> holds(io::Clock& clock, const std::function<bool()>& condition) {
    const auto patience = clock.now() + 10s;
    while (!condition() && clock.now() < patience) co_await clock.sleep(1ms);
    co_return condition();
  }

  TempDir dir;
  io::Loop loop;
  std::unique_ptr<io::Clock> clock = io::make_system_clock(loop);
  std::unique_ptr<io::Random> random = io::make_system_random();
  std::unique_ptr<io::Net> net = io::make_tcp_net(loop, *clock);
  std::unique_ptr<io::Disk> disk = io::make_posix_disk();
  storage::BlobStore store{loop, *disk, *random,
                           storage::StoreOptions{dir / "cache", dir / "download", dir / "upload"}, Logger()};
  Metrics metrics;
  ScriptedTracker tracker;
  std::unique_ptr<p2p::Engine> engine;
  io::Address address;
};

}  // namespace krakend::test
