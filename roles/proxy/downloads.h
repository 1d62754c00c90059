#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "krakend/api/clients.h"
#include "krakend/core/log.h"
#include "krakend/io/condition.h"
#include "krakend/io/task_group.h"
#include "krakend/storage/blob_store.h"

namespace krakend::proxy {

/// Piece length for a blob of so many bytes.
using PieceLengthFn = std::function<uint64_t(uint64_t)>;

/// Fetches blobs from the origins into the local store. Concurrent calls for one digest are one download,
/// which goes on when its callers have gone away. Loop thread.
class Downloads {
 public:
  Downloads(io::Loop& loop, storage::BlobStore& store, api::OriginCluster& origins,
            PieceLengthFn piece_length, Logger log);
  Task<Result<storage::BlobPtr>> fetch(std::string repo, Digest digest);
  /// Ends running downloads; who waits for one gets an error.
  Task<> stop();

 private:
  /// One download and those who wait for it.
  struct Flight {
    explicit Flight(io::Loop& loop) : done(loop) {}
    io::Condition done;
    bool finished = false;
    Result<storage::BlobPtr> result = fail(Errc::cancelled, "the download was stopped");
  };
  using FlightPtr = std::shared_ptr<Flight>;
  /// Lands the flight whichever way its task ends.
  class Landing;

  Task<> run(std::unique_ptr<Landing> landing, std::string repo, Digest digest);
  Task<Result<storage::BlobPtr>> download(std::string repo, Digest digest);
  struct Attempt {
    Result<storage::BlobPtr> result;
    /// Worth a fresh start: bytes of two origins may have got mixed.
    bool again = false;
  };
  Task<Attempt> attempt(std::string repo, Digest digest);

  io::Loop& loop_;
  storage::BlobStore& store_;
  api::OriginCluster& origins_;
  PieceLengthFn piece_length_;
  Logger log_;
  std::unordered_map<Digest, FlightPtr> flights_;
  io::TaskGroup tasks_;
};

}  // namespace krakend::proxy
