#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "krakend/io/condition.h"
#include "roles/origin/origin.h"
#include "support/catch.h"
#include "support/take.h"
#include "support/world.h"

namespace krakend::test {

/// A backend in front of another one that counts, can be held up and can be told to fail.
class TestBackend final : public backend::Backend {
 public:
  TestBackend(io::Loop& loop, backend::BackendPtr inner) : gate(loop), inner_(std::move(inner)) {}

  Task<Result<uint64_t>> stat(std::string name) override { co_return co_await inner_->stat(name); }
  Task<Result<void>> download(std::string name, uint64_t offset, io::ByteSink& sink) override {
    ++downloads;
    while (held) co_await gate.wait();
    if (broken) co_return fail(Errc::io, "backend is broken");
    co_return co_await inner_->download(name, offset, sink);
  }
  Task<Result<void>> upload(std::string name, io::FilePtr file, std::string path) override {
    ++uploads;
    if (broken) co_return fail(Errc::io, "backend is broken");
    co_return co_await inner_->upload(name, file, path);
  }
  Task<Result<std::string>> get(std::string name, uint64_t limit) override {
    co_return co_await inner_->get(name, limit);
  }
  Task<Result<void>> put(std::string name, std::string content) override {
    co_return co_await inner_->put(name, content);
  }
  Task<Result<void>> remove(std::string name) override { co_return co_await inner_->remove(name); }
  Task<Result<std::vector<std::string>>> list(std::string prefix) override {
    co_return co_await inner_->list(prefix);
  }

  io::Condition gate;
  bool held = false;
  bool broken = false;
  int downloads = 0;
  int uploads = 0;

 private:
  backend::BackendPtr inner_;
};

/// A backend that never does what it is asked.
class DeadBackend : public backend::Backend {
 public:
  Task<Result<uint64_t>> stat(std::string) override { co_return refuse(); }
  Task<Result<void>> download(std::string, uint64_t, io::ByteSink&) override { co_return refuse(); }
  Task<Result<void>> upload(std::string, io::FilePtr, std::string) override { co_return refuse(); }
  Task<Result<std::string>> get(std::string, uint64_t) override { co_return refuse(); }
  Task<Result<void>> put(std::string, std::string) override { co_return refuse(); }
  Task<Result<void>> remove(std::string) override { co_return refuse(); }
  Task<Result<std::vector<std::string>>> list(std::string) override { co_return refuse(); }

 private:
  static tl::unexpected<Error> refuse() { return fail(Errc::io, "it is dead"); }
};

/// A backend of one blob that gives the first part of it and then waits.
class SlowBackend final : public DeadBackend {
 public:
  SlowBackend(io::Loop& loop, std::string content) : gate(loop), content_(std::move(content)) {}
  static constexpr size_t first_part = 100 * 1024;

  Task<Result<uint64_t>> stat(std::string) override { co_return content_.size(); }
  Task<Result<void>> download(std::string, uint64_t offset, io::ByteSink& sink) override {
    const auto bytes = std::as_bytes(std::span<const char>(content_)).subspan(offset);
    if (auto fed = sink.write(bytes.first(first_part)); !fed) co_return fed;
    given = first_part;
    while (!go_on) co_await gate.wait();
    auto fed = sink.write(bytes.subspan(first_part));
    if (at_end) at_end();
    co_return fed;
  }
  io::Condition gate;
  bool go_on = false;
  size_t given = 0;
  std::function<void()> at_end;

 private:
  std::string content_;
};

/// One origin with its own store and backend directories.
class Node {
 public:
  Node(
      World& world, const std::string& name, std::vector<std::string> cluster = {},
      io::Address listen = {"127.0.0.1", 0},
      const std::function<void(origin::OriginOptions&)>& adjust = [](origin::OriginOptions&) {})
      : world_(world), root_(world.directory / name), store_(make_store()) {
    auto names = backend::make_name_path("sharded_docker_blob", root_ + "/backend");
    REQUIRE(names);
    remote = std::make_shared<TestBackend>(
        world.loop, backend::make_file_backend(world.loop, *world.disk, std::move(*names)));
    REQUIRE(backends.add("^(TODO|library/|lib/)", remote));
    options_.listen = listen;
    options_.self = listen.str();
    options_.cluster = std::move(cluster);
    options_.piece_lengths = {{0, 5}};
    options_.zone = "z1";
    options_.cluster_name = "c1";
    options_.p2p.ip = "127.0.0.1";
    options_.p2p.listen_host = "127.0.0.1";
    options_.p2p.peer_id = addr_hash_peer_id("127.0.0.1", 15'113);
    adjust(options_);
    api::Services services{world.loop,  *world.clock,  *world.random, *world.net,
                           *world.disk, *world.server, *world.client, Logger()};
    services.metrics = metrics;
    database_ = take(storage::Database::open(world.loop, *world.disk, root_ + "/origin.db", Logger()));
    table_ = take(retry::make_write_back_table(*database_));
    origin_ = std::make_unique<origin::Origin>(services, *store_, backends, *table_, options_);
    auto bound = origin_->start();
    if (!bound) FAIL(bound.error().message);
    at = bound->http;
    p2p = bound->p2p;
  }
  ~Node() {
    world_.run(origin_->stop());
    origin_.reset();
    world_.run(database_->stop());
  }

  bool in_store(const Digest& digest) { return world_.run(store_->size(digest)).has_value(); }
  /// Write-back happens in the background.
  bool gets_to_backend(const Digest& digest) {
    for (int round = 0; round < 5000 && !in_backend(digest); ++round) world_.run(world_.clock->sleep(1ms));
    return in_backend(digest);
  }
  /// In the backend, and not protected any more.
  bool is_written_back(const Digest& digest) {
    const auto flagged = [&] { return world_.run(store_->persist(digest)).value_or(true); };
    for (int round = 0; round < 5000 && flagged(); ++round) world_.run(world_.clock->sleep(1ms));
    return !flagged() && in_backend(digest);
  }
  bool in_backend(const Digest& digest) { return world_.run(remote->stat(digest.hex())).has_value(); }
  Metrics metrics;
  storage::BlobStore& store() { return *store_; }

  http::ClientResponse start(const std::string& base, size_t size) {
    return world_.call("POST", at, base + "/uploads?size=" + std::to_string(size));
  }
  http::ClientResponse patch(const std::string& base, const std::string& id, const std::string& body,
                             uint64_t offset) {
    return world_.call("PATCH", at, base + "/uploads/" + id, body,
                       {{"Content-Range", fmt::format("{}-{}", offset, offset + body.size())}});
  }
  http::ClientResponse commit(const std::string& base, const std::string& id, const std::string& body = {}) {
    return world_.call("PUT", at, base + "/uploads/" + id, body);
  }
  /// The whole exchange; the status of the commit.
  int upload(const std::string& base, const std::string& content) {
    const auto started = start(base, content.size());
    if (started.status != 200) return started.status;
    const std::string id(started.headers.get("Location"));
    if (!content.empty()) REQUIRE(patch(base, id, content, 0).status == 200);
    return commit(base, id).status;
  }

  backend::Backends backends;
  std::shared_ptr<TestBackend> remote;
  io::Address at;
  io::Address p2p;

 private:
  std::unique_ptr<storage::BlobStore> make_store() {
    storage::StoreOptions options;
    options.cache_dir = root_ + "/cache";
    options.download_dir = root_ + "/download";
    options.upload_dir = root_ + "/upload";
    auto store =
        std::make_unique<storage::BlobStore>(world_.loop, *world_.disk, *world_.random, options, Logger());
    REQUIRE(store->open_directories());
    return store;
  }

  World& world_;
  std::string root_;
  std::unique_ptr<storage::BlobStore> store_;
  std::unique_ptr<storage::Database> database_;
  std::unique_ptr<retry::TaskTable> table_;
  origin::OriginOptions options_;
  std::unique_ptr<origin::Origin> origin_;
};

inline std::string ns_blob(const Digest& digest, const std::string& ns = "library%2Fubuntu") {
  return "/namespace/" + ns + "/blobs/" + digest.str();
}
inline std::string internal_blob(const Digest& digest) {
  return "/internal/blobs/" + digest.str();
}

}  // namespace krakend::test
