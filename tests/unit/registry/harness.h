#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "krakend/core/hex.h"
#include "krakend/io/condition.h"
#include "krakend/io/system.h"
#include "krakend/io/task_group.h"
#include "krakend/registry/registry.h"
#include "krakend/storage/blob_store.h"
#include "support/fake_clock.h"
#include "support/run.h"
#include "support/temp_dir.h"

namespace krakend::registry {

/// A request body of given bytes, optionally chunked, cut short, or held back until the test lets it go on.
class FakeBody final : public http::RequestBody {
 public:
  explicit FakeBody(std::string bytes) : bytes_(std::move(bytes)) {}
  void chunked() { chunked_ = true; }
  /// The connection breaks after the bytes that are there.
  void breaks() { breaks_ = true; }
  void hold(io::Condition& until) { hold_ = &until; }

  std::optional<uint64_t> length() const override;
  Task<Result<uint64_t>> read_to(io::ByteSink& sink, uint64_t limit) override;

 private:
  std::string bytes_;
  bool chunked_ = false;
  bool breaks_ = false;
  io::Condition* hold_ = nullptr;
};

/// Blobs in a real store below a temporary directory, tags in a map; failures and counts for the tests.
class FakeTransfer final : public Transfer {
 public:
  FakeTransfer(io::Loop& loop, storage::BlobStore& store) : loop_(loop), store_(store) {}

  Task<Result<uint64_t>> stat(std::string repo, Digest digest) override;
  Task<Result<OpenedBlob>> open(std::string repo, Digest digest) override;
  Task<Result<Digest>> get_tag(std::string repo, std::string tag) override;
  Task<Result<std::vector<std::string>>> list_names(std::string prefix) override;
  bool writable() const override { return read_write; }
  Task<Result<void>> put_blob(std::string repo, Digest digest, storage::UploadPtr upload) override;
  Task<Result<void>> put_tag(std::string repo, std::string tag, Digest digest) override;
  Task<Result<storage::UploadPtr>> create_upload(std::string owner) override;
  Task<Result<void>> remove_tag(std::string repo, std::string tag) override;
  Task<Result<void>> remove_blob(std::string repo, Digest digest) override;

  bool read_write = true;
  std::map<std::string, std::map<std::string, Digest>> tags;
  std::optional<Error> stat_error, open_error, tag_error, put_error, put_tag_error, create_error;
  std::function<void()> after_put_tag;
  unsigned stats = 0, opens = 0, puts = 0;
  std::string last_repo;

 private:
  io::Loop& loop_;
  storage::BlobStore& store_;
};

struct Call {
  std::string method = "GET";
  std::string target{};
  http::Headers headers{};
  std::string body{};
  std::function<void(FakeBody&)> prepare{};
  io::Address peer{};
};

struct Answer {
  int status = 0;
  http::Headers headers;
  std::string body;
  std::optional<uint64_t> content_length;
  bool close = false;

  std::string header(std::string_view name) const { return std::string(headers.get(name)); }
  /// Code of the first error of a registry error body.
  std::string code() const;
  std::string message() const;
};

/// A registry over a FakeTransfer, called without a network. Everything runs on the test's thread.
class Harness {
 public:
  explicit Harness(RegistryOptions options = {});
  /// The process ends, without a word to anybody, and starts again.
  void restart();
  ~Harness();

  Answer call(Call call);
  Answer get(std::string target, http::Headers headers = {});
  Answer head(std::string target, http::Headers headers = {});
  Answer send(std::string method, std::string target, std::string body = {}, http::Headers headers = {});

  /// Starts a call without waiting for its end.
  std::shared_ptr<std::optional<Answer>> start(Call call);
  void poll_until(const std::function<bool()>& done);
  template <class T>
  T run(Task<T> task) {
    return test::run(loop, std::move(task));
  }
  /// Sweeps the uploads after `later`.
  void sweep(Duration later);

  /// Puts a blob into the store, past the registry.
  Digest add_blob(const std::string& bytes);
  bool has_blob(const Digest& digest);
  /// Starts an upload; its location without the query.
  std::string start_upload(const std::string& name = "lib/a");
  /// Files below the store's upload directory.
  size_t uploads_on_disk();

 private:
  void open();
  void close();
  Task<> serve(Call call, std::shared_ptr<std::optional<Answer>> out);
  Task<std::string> body_text(http::Body body);
  Task<Result<Digest>> store_blob(std::string bytes);

 public:
  io::Loop loop{io::LoopOptions{.pool_threads = 0}};
  test::TempDir directory;
  std::unique_ptr<io::Disk> disk = io::make_posix_disk();
  std::unique_ptr<io::Random> random = io::make_system_random();
  test::FakeClock clock;
  RegistryOptions settings;
  std::unique_ptr<storage::BlobStore> store;
  std::unique_ptr<FakeTransfer> transfer;
  std::unique_ptr<RegistryHandler> handler;
  io::TaskGroup tasks{loop};
};

inline const std::string json_type = "application/vnd.oci.image.manifest.v1+json";

}  // namespace krakend::registry
