#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>

#include "krakend/core/log.h"
#include "krakend/http/server.h"
#include "krakend/io/clock.h"
#include "krakend/io/condition.h"
#include "krakend/storage/blob_store.h"
#include "roles/origin/leases.h"
#include "roles/origin/ranges.h"
#include "roles/origin/replicator.h"
#include "roles/origin/write_back.h"

namespace krakend::origin {

/// The three upload families of contract http-api §4.7–§4.9: start, patch, commit. They share start and
/// patch; the commit differs in what follows it. Requests on one upload wait for each other. Loop thread.
class UploadHandler {
 public:
  struct Services {
    io::Loop& loop;
    io::Clock& clock;
    storage::BlobStore& store;
    WriteBack& write_back;
    Replicator& replicator;
    Leases& leases;
  };
  UploadHandler(Services services, std::map<uint64_t, uint64_t> piece_lengths, Logger log);

  void add_routes(http::Router& router);
  /// Discards uploads that nobody has touched for upload_tti. Runs until its group stops.
  Task<> expire();
  size_t open_uploads() const { return sessions_.size(); }

  static constexpr Duration upload_tti = 6h;

 private:
  enum class Kind {
    cluster,    ///< written back, then replicated; a blob that is there already is written back too
    duplicate,  ///< from another origin: written back, not replicated
    transfer,   ///< is in the backend already: only kept
  };
  struct Session {
    Session(io::Loop& loop, storage::UploadPtr u) : upload(std::move(u)), released(loop) {}
    storage::UploadPtr upload;
    bool busy = false;
    /// Committed or discarded: no further request may use it.
    bool gone = false;
    TimePoint last_use{};
    io::Condition released;
  };
  using SessionPtr = std::shared_ptr<Session>;
  /// Exclusive use of a session; empty when there is none.
  class Hold;

  Task<http::Response> start_cluster(http::Request& request) { return start(Kind::cluster, request); }
  Task<http::Response> start_transfer(http::Request& request) { return start(Kind::transfer, request); }
  Task<http::Response> patch_cluster(http::Request& request) { return patch(Kind::cluster, request); }
  Task<http::Response> patch_transfer(http::Request& request) { return patch(Kind::transfer, request); }
  Task<http::Response> commit_cluster(http::Request& request) { return commit(Kind::cluster, request); }
  Task<http::Response> commit_transfer(http::Request& request) { return commit(Kind::transfer, request); }
  Task<http::Response> commit_duplicate(http::Request& request);

  Task<http::Response> start(Kind kind, http::Request& request);
  Task<http::Response> patch(Kind kind, http::Request& request);
  /// `delay` is that of the write-back.
  Task<http::Response> commit(Kind kind, http::Request& request, Duration delay = Duration::zero());
  Task<http::Response> write_chunk(storage::UploadPtr upload, ByteRange range, http::Request& request);
  Task<http::Response> not_committed(Kind kind, std::string ns, Digest digest, Error error);
  /// The 409 of a blob that is there already, with its side effect.
  Task<http::Response> conflict(Kind kind, std::string ns, Digest digest);
  Task<bool> has_blob(Digest digest);
  Task<Hold> acquire(std::string id);
  Result<void> check_range(const ByteRange& range) const;

  Services services_;
  const std::map<uint64_t, uint64_t> piece_lengths_;
  Logger log_;
  std::unordered_map<std::string, SessionPtr> sessions_;
};

}  // namespace krakend::origin
