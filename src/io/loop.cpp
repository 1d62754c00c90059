#include "krakend/io/loop.h"

#include <asio/associated_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/executor_work_guard.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/use_awaitable.hpp>
#include <atomic>
#include <thread>

#include "krakend/core/trace.h"
#include "krakend/io/workers.h"

namespace krakend::io {

namespace {

/// Handlers that one poll() runs at most: tasks that are always ready must not keep the caller from looking
/// around.
constexpr size_t poll_batch = 256;

}  // namespace

struct Loop::Impl {
  explicit Impl(LoopOptions options)
      : work(asio::make_work_guard(context)), stand_in(std::move(options.pool)) {
    if (options.pool_threads > 0 && !stand_in) pool = std::make_unique<Workers>(options.pool_threads);
  }
  asio::io_context context{1};
  asio::executor_work_guard<asio::io_context::executor_type> work;
  std::atomic<std::thread::id> thread;
  const decltype(LoopOptions::pool) stand_in;
  std::function<void(const std::string&)> told_of_failures;
  std::unique_ptr<Workers> pool;  // last: its jobs post to the context
};

Loop::Loop(LoopOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Loop::~Loop() = default;

void Loop::run() {
  impl_->thread = std::this_thread::get_id();
  impl_->context.restart();
  impl_->context.run();
}

size_t Loop::poll() {
  impl_->thread = std::this_thread::get_id();
  impl_->context.restart();
  size_t done = 0;
  while (done < poll_batch && impl_->context.poll_one() > 0) ++done;
  return done;
}

void Loop::stop() {
  impl_->context.stop();
}

void Loop::post(std::function<void()> fn) {
  asio::post(impl_->context, std::move(fn));
}

bool Loop::on_loop_thread() const {
  return impl_->thread.load() == std::this_thread::get_id();
}

void Loop::fail(const std::string& reason) {
  if (impl_->told_of_failures) impl_->told_of_failures(reason);
}

void Loop::on_failure(std::function<void(const std::string&)> told) {
  impl_->told_of_failures = std::move(told);
}

asio::any_io_executor Loop::executor() const {
  return impl_->context.get_executor();
}

Workers* Loop::pool() const {
  return impl_->pool.get();
}

Task<> Loop::run_elsewhere(Workers* workers, std::function<void()> job) {
  // No cancellation slot is looked at: the job refers to the awaiting frame, which must stay until it has
  // run.
  const auto initiate = [this, workers](auto handler, std::function<void()> work) {
    const auto shared = std::make_shared<decltype(handler)>(std::move(handler));
    if (workers == nullptr && impl_->stand_in)
      return impl_->stand_in(std::move(work), [shared] { std::move (*shared)(); });
    auto run = [work = std::move(work), shared, trace = current_trace()] {
      {
        const TraceScope scope(trace);
        work();
      }
      // On the task's own executor, which may carry the trace.
      asio::post(asio::get_associated_executor(*shared), [shared] { std::move (*shared)(); });
    };
    if (workers != nullptr)
      workers->submit(std::move(run));
    else
      post(std::move(run));
  };
  co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(initiate, asio::use_awaitable,
                                                                       std::move(job));
}

}  // namespace krakend::io
