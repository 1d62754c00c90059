#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "krakend/core/log.h"
#include "krakend/http/client.h"
#include "krakend/http/server.h"
#include "krakend/io/clock.h"
#include "krakend/io/condition.h"
#include "krakend/io/random.h"
#include "krakend/io/task_group.h"
#include "krakend/storage/blob_store.h"
#include "roles/origin/blob_refresher.h"
#include "roles/origin/leases.h"

namespace krakend::origin {

/// POST /namespace/{ns}/blobs/{digest}/remote/{remote}: copies a blob to another cluster (contract http-api
/// §4.10). One copy of a blob to a remote at a time, however many ask; one that takes longer than wait_limit
/// is answered 202, goes on, and is asked for again: the caller's time-out does not cut it. Loop thread.
class RemoteHandler {
 public:
  struct Services {
    io::Loop& loop;
    io::Clock& clock;
    io::Random& random;
    io::TaskGroup& tasks;
    http::Client& client;
    storage::BlobStore& store;
    BlobRefresher& refresher;
    Leases& leases;
  };
  RemoteHandler(Services services, Logger log);

  /// How long a request waits for the outcome of its copy, and how long an outcome is told to whoever comes
  /// after the end.
  static constexpr Duration wait_limit = 2s;
  static constexpr Duration outcome_memory = 15s;
  /// Copies at once, and outcomes that are remembered, together; one more gets 503.
  static constexpr size_t max_copies = 1000;

  void add_routes(http::Router& router);

 private:
  struct Copy {
    std::optional<Result<void>> outcome;  ///< once it has ended
    TimePoint ended;
  };
  using CopyPtr = std::shared_ptr<Copy>;
  using Key = std::tuple<std::string, Digest, std::string>;  ///< namespace, blob, remote

  Task<http::Response> replicate(http::Request& request);
  /// The blob, to be read. The error is one of the refresher.
  Task<Result<storage::BlobPtr>> open(std::string ns, Digest digest);
  Task<> run(CopyPtr copy, Key key, storage::BlobPtr blob);
  CopyPtr find(const Key& key);
  void forget_old();

  Services services_;
  Logger log_;
  std::map<Key, CopyPtr> copies_;
  /// Blob and remote of what is being sent: for another namespace it is not sent at the same time, since
  /// afterwards the remote has it.
  std::set<std::pair<Digest, std::string>> sending_;
  io::Condition ended_;
};

}  // namespace krakend::origin
