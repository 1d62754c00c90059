#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "krakend/core/digest.h"
#include "krakend/core/log.h"
#include "krakend/core/result.h"
#include "krakend/io/condition.h"
#include "krakend/io/task_group.h"

namespace krakend::proxy {

/// Makes a call for each blob of many images, a few at a time; the images take turns. Loop thread.
class BlobLine {
 public:
  using Call = std::function<Task<Result<void>>(Digest)>;
  struct Limits {
    size_t at_once;
    size_t waiting_max;  ///< blobs of all images together
  };
  BlobLine(io::Loop& loop, Limits limits, Logger log);

  /// The blobs of one image. The call outlives the line.
  struct Batch {
    Batch(io::Loop& loop, std::string label_in, std::vector<Digest> blobs_in, Call call_in)
        : label(std::move(label_in)), blobs(std::move(blobs_in)), call(std::move(call_in)), ended(loop) {}
    const std::string label;  ///< in the log
    const std::vector<Digest> blobs;
    const Call call;
    size_t next = 0;  ///< the first that waits
    size_t ended_blobs = 0;
    size_t failed = 0;
    Error failure;  ///< the first one
    io::Condition ended;
    bool done() const { return ended_blobs == blobs.size(); }
  };
  using BatchPtr = std::shared_ptr<Batch>;

  /// Takes its place and is worked on; every failure is logged. unavailable when too many blobs wait.
  Result<BatchPtr> add(std::string label, std::vector<Digest> blobs, Call call);
  /// Until all its blobs have been called for; the first failure. Who does not wait to the end takes what has
  /// not begun out of the line.
  Task<Result<void>> wait(BatchPtr batch);
  /// Ends what runs and waits; awaited before destruction.
  Task<> stop();

  size_t running() const { return running_; }
  size_t waiting() const { return waiting_; }

 private:
  class Turn;
  class Interest;
  Task<> work();
  void end(Batch& batch, size_t blobs);
  /// Takes what of it waits out of the line.
  void drop(const BatchPtr& batch, const char* why);

  io::Loop& loop_;
  const Limits limits_;
  Logger log_;
  std::deque<BatchPtr> line_;
  size_t workers_ = 0;
  size_t running_ = 0;
  size_t waiting_ = 0;
  io::TaskGroup tasks_;
};

}  // namespace krakend::proxy
