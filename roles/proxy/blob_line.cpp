#include "roles/proxy/blob_line.h"

#include <algorithm>
#include <utility>

#include "krakend/core/counted.h"

namespace krakend::proxy {

/// One call; its end is seen even when the task is stopped in the middle of it.
class BlobLine::Turn {
 public:
  Turn(BlobLine& line, BatchPtr batch, Digest digest)
      : line_(line), batch_(std::move(batch)), digest_(digest), running_(line.running_) {}
  Turn(const Turn&) = delete;
  Turn& operator=(const Turn&) = delete;
  ~Turn() {
    if (!result_) {
      line_.log_.warn("{}: {}: {}", batch_->label, digest_.str(), result_.error().message);
      if (batch_->failed++ == 0) batch_->failure = result_.error();
    }
    line_.end(*batch_, 1);
  }
  void result(Result<void> value) { result_ = std::move(value); }

 private:
  BlobLine& line_;
  const BatchPtr batch_;
  const Digest digest_;
  const Counted<size_t> running_;
  Result<void> result_ = fail(Errc::cancelled, "the proxy is shutting down");
};

/// Of somebody who waits for a batch.
class BlobLine::Interest {
 public:
  Interest(BlobLine& line, BatchPtr batch) : line_(line), batch_(std::move(batch)) {}
  Interest(const Interest&) = delete;
  Interest& operator=(const Interest&) = delete;
  ~Interest() {
    if (!batch_->done()) line_.drop(batch_, "nobody waits for it any more");
  }

 private:
  BlobLine& line_;
  const BatchPtr batch_;
};

BlobLine::BlobLine(io::Loop& loop, Limits limits, Logger log)
    : loop_(loop), limits_(limits), log_(std::move(log)), tasks_(loop, log_) {}

Result<BlobLine::BatchPtr> BlobLine::add(std::string label, std::vector<Digest> blobs, Call call) {
  if (tasks_.stopping()) return fail(Errc::unavailable, "the proxy is shutting down");
  if (waiting_ + blobs.size() > limits_.waiting_max)
    return fail(Errc::unavailable, "{} blobs wait already, try again later", waiting_);
  auto batch = std::make_shared<Batch>(loop_, std::move(label), std::move(blobs), std::move(call));
  if (batch->blobs.empty()) return batch;
  waiting_ += batch->blobs.size();
  line_.push_back(batch);
  for (size_t begun = 0; workers_ < limits_.at_once && begun < batch->blobs.size(); ++begun) {
    ++workers_;
    tasks_.spawn(work(), "blobs ahead");
  }
  return batch;
}

Task<Result<void>> BlobLine::wait(BatchPtr batch) {
  const Interest interest(*this, batch);
  while (!batch->done()) co_await batch->ended.wait();
  if (batch->failed > 0) co_return fail(batch->failure);
  co_return Result<void>{};
}

Task<> BlobLine::work() {
  struct Guard {
    size_t& count;
    ~Guard() { --count; }
  };
  const Guard guard{workers_};
  while (!line_.empty()) {
    const BatchPtr batch = std::move(line_.front());
    line_.pop_front();
    const Digest digest = batch->blobs[batch->next++];
    if (batch->next < batch->blobs.size()) line_.push_back(batch);
    --waiting_;
    Turn turn(*this, batch, digest);
    auto called = co_await batch->call(digest);
    turn.result(std::move(called));
  }
}

void BlobLine::end(Batch& batch, size_t blobs) {
  batch.ended_blobs += blobs;
  if (!batch.done()) return;
  log_.info("{}: {} blobs, {} of them failed", batch.label, batch.blobs.size(), batch.failed);
  batch.ended.notify_all();
}

void BlobLine::drop(const BatchPtr& batch, const char* why) {
  const size_t left = batch->blobs.size() - batch->next;
  if (left == 0) return;
  std::erase(line_, batch);
  waiting_ -= left;
  batch->next = batch->blobs.size();
  log_.warn("{}: {} blobs are not fetched: {}", batch->label, left, why);
  if (batch->failed == 0) batch->failure = Error{Errc::cancelled, why, 0};
  batch->failed += left;
  end(*batch, left);
}

Task<> BlobLine::stop() {
  co_await tasks_.stop();
  while (!line_.empty()) {
    const BatchPtr batch = line_.front();
    drop(batch, "the proxy is shutting down");
  }
}

}  // namespace krakend::proxy
