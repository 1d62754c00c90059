#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "krakend/core/digest.h"
#include "krakend/core/log.h"
#include "krakend/core/result.h"
#include "krakend/core/time.h"
#include "krakend/core/units.h"
#include "krakend/http/server.h"
#include "krakend/io/address_range.h"
#include "krakend/io/clock.h"
#include "krakend/io/content.h"
#include "krakend/io/loop.h"
#include "krakend/storage/blob_store.h"

namespace krakend::registry {

struct OpenedBlob {
  io::ContentPtr content;
  /// Value of X-Krakend-Source ("disk", "swarm", "origin"); empty: no header.
  std::string source;
};

/// Where the registry gets and puts its blobs and tags. Agent: read-only over the swarm; proxy: read-write
/// over the origin cluster and the build-index. Loop thread. Errors: not_found where the thing does not
/// exist; whatever else is told to the client as 500-class with the message.
class Transfer {
 public:
  virtual ~Transfer() = default;
  /// Size without fetching the blob.
  virtual Task<Result<uint64_t>> stat(std::string repo, Digest digest) = 0;
  virtual Task<Result<OpenedBlob>> open(std::string repo, Digest digest) = 0;
  virtual Task<Result<Digest>> get_tag(std::string repo, std::string tag) = 0;
  /// The tags below a prefix as the build-index names them: "repo:tag", krakend's own ones too; "" for all.
  virtual Task<Result<std::vector<std::string>>> list_names(std::string prefix) = 0;
  /// Tags of a repository in lexical order; not_found for an unknown repository.
  Task<Result<std::vector<std::string>>> list_tags(std::string repo);

  // Read-write transfers only; a read-only one answers unavailable.
  virtual bool writable() const = 0;
  /// Takes the finished upload, verifies its digest, and returns when the blob is stored for good.
  virtual Task<Result<void>> put_blob(std::string repo, Digest digest, storage::UploadPtr upload) = 0;
  virtual Task<Result<void>> put_tag(std::string repo, std::string tag, Digest digest) = 0;
  /// With an `owner` the upload outlives the process: it is in adopt_uploads() then.
  virtual Task<Result<storage::UploadPtr>> create_upload(std::string owner) = 0;
  virtual Task<Result<void>> remove_tag(std::string repo, std::string tag) = 0;
  /// Takes the blob away from everybody who has it; nobody having it is success. Whether something refers to
  /// it is not looked at.
  virtual Task<Result<void>> remove_blob(std::string repo, Digest digest) = 0;
};

/// A transfer without the writing half: all of that answers unavailable with `advice`.
class ReadOnlyTransfer : public Transfer {
 public:
  explicit ReadOnlyTransfer(std::string advice) : advice_(std::move(advice)) {}
  bool writable() const final { return false; }
  Task<Result<void>> put_blob(std::string repo, Digest digest, storage::UploadPtr upload) final;
  Task<Result<void>> put_tag(std::string repo, std::string tag, Digest digest) final;
  Task<Result<storage::UploadPtr>> create_upload(std::string owner) final;
  Task<Result<void>> remove_tag(std::string repo, std::string tag) final;
  Task<Result<void>> remove_blob(std::string repo, Digest digest) final;

 private:
  tl::unexpected<Error> refuse() const { return fail(Errc::unavailable, "{}", advice_); }
  const std::string advice_;
};

struct RegistryOptions {
  uint64_t manifest_size_max = 4 * MiB;
  /// Bytes of one blob upload; beyond: 413.
  uint64_t upload_size_max = 10 * GiB;
  /// Upload sessions at once. When the table is full the one idle longest is dropped; if all are busy: 503.
  size_t upload_sessions_max = 4096;
  /// An upload session that no request has used for this long goes, with what it holds.
  Duration upload_ttl = 24h;
  /// Reverse proxies whose X-Forwarded-Proto, -Host, -Prefix and Forwarded make the URLs in answers; from
  /// everybody else these headers are ignored and the URLs are paths.
  std::vector<io::AddressRange> trusted_proxies{};
  /// DELETE of tags, manifests and blobs; otherwise 405.
  bool delete_enabled = false;
};

/// Docker Registry v2 / OCI distribution over a Transfer. `handle` serves every path below /v2, and "/". The
/// handler must outlive the servers that use it.
class RegistryHandler {
 public:
  RegistryHandler(io::Loop& loop, Transfer& transfer, RegistryOptions options, Logger log);
  ~RegistryHandler();
  Task<http::Response> handle(http::Request& request);
  /// Other limits of uploads from now on: upload_size_max, upload_sessions_max, upload_ttl.
  void configure(const RegistryOptions& options);
  /// Goes on with the upload sessions of an earlier run. Before the first request.
  void adopt_uploads(std::vector<storage::KeptUpload> kept, const io::Clock& clock);
  /// Discards the upload sessions that have been idle for upload_ttl. Whether one was used is looked at by
  /// these calls alone, so they come a good deal more often than that.
  Task<> sweep_uploads(TimePoint now);
  /// Ends what requests have under way in the background; awaited before the handler is destroyed.
  Task<> stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Error body of the registry API: {"errors":[{"code":…,"message":…,"detail":…}]} and its status.
http::Response registry_error(int status, std::string_view code, std::string_view message,
                              std::string_view detail_json = "null");

/// Answers GET or HEAD of `content` with Range, If-None-Match, 206 and 416 as the registry API has them;
/// shared with the agent API. `etag` is the digest text.
http::Response content_response(const http::Request& request, io::ContentPtr content, const Digest& digest,
                                std::string_view source);

}  // namespace krakend::registry
