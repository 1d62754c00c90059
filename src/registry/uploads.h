#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "krakend/core/log.h"
#include "krakend/http/message.h"
#include "krakend/registry/registry.h"
#include "registry/aliases.h"
#include "registry/ranges.h"

namespace krakend::registry {

/// One blob that a client is pushing. Belongs to one repository; at most one request works on it at a time.
struct UploadSession {
  std::string name;
  storage::UploadPtr upload;
  bool busy = false;
  /// A request has used it since the last sweep.
  bool touched = true;
  /// The last sweep that found it touched.
  TimePoint used{};
};
using UploadSessionPtr = std::shared_ptr<UploadSession>;

/// The upload sessions of a registry and the requests on them (OCI distribution spec, "Pushing blobs"). Loop
/// thread.
class UploadEndpoint {
 public:
  UploadEndpoint(Transfer& transfer, Aliases& aliases, RegistryOptions options, Logger log)
      : transfer_(transfer), aliases_(aliases), options_(options), log_(std::move(log)) {}

  /// POST: a new session, a mount (`mount`), or a whole blob at once (`digest`).
  Task<http::Response> start(http::Request& request, std::string name);
  /// GET, HEAD, PATCH, PUT and DELETE of one session.
  Task<http::Response> handle(http::Request& request, std::string name, std::string id);
  void configure(const RegistryOptions& options) { options_ = options; }
  /// Goes on with uploads that an earlier run began.
  void adopt(std::vector<storage::KeptUpload> kept, const io::Clock& clock);
  /// Discards the sessions that have been idle for upload_ttl.
  Task<> sweep(TimePoint now);

 private:
  /// Holds a session for one request.
  class Lease;

  Task<std::optional<http::Response>> mount(std::string name, std::string digest_text);
  Task<Result<UploadSessionPtr>> create(std::string name);
  void remember(UploadSessionPtr session);
  /// Makes room in a full table by discarding the session that has been idle longest.
  Task<Result<void>> make_room();

  Task<http::Response> patch(http::Request& request, UploadSessionPtr session);
  Task<http::Response> finish(http::Request& request, UploadSessionPtr session);
  /// Verifies the digest, by whatever algorithm, and stores the blob. The upload is gone afterwards.
  Task<Result<void>> store(const UploadSession& session, ContentDigest named);
  Task<http::Response> cancel(UploadSessionPtr session);
  /// Appends the request's body. Nothing when it went well, else the answer.
  Task<std::optional<http::Response>> append(http::Request& request, UploadSessionPtr session);
  Task<http::Response> append_failed(Error error, UploadSessionPtr session, std::optional<ChunkRange> chunk);

  void forget(const UploadSession& session);

  Transfer& transfer_;
  Aliases& aliases_;
  RegistryOptions options_;
  Logger log_;
  std::map<std::string, UploadSessionPtr, std::less<>> sessions_;
  /// Ids in order of last use, the oldest first.
  std::list<std::string> by_age_;
};

}  // namespace krakend::registry
