#include "krakend/io/task_group.h"

#include <asio/bind_cancellation_slot.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/co_spawn.hpp>
#include <asio/error.hpp>
#include <asio/post.hpp>
#include <asio/system_error.hpp>
#include <asio/use_awaitable.hpp>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <list>
#include <vector>

#include "krakend/io/condition.h"
#include "krakend/io/traced.h"

namespace krakend::io {

struct TaskGroup::State {
  State(Loop& l, Logger g) : loop(l), log(std::move(g)), empty(l) {}
  Loop& loop;
  Logger log;
  Condition empty;
  /// Shared: a task may end while stop() is telling it to.
  using Signal = std::shared_ptr<asio::cancellation_signal>;
  std::list<Signal> running;
  bool stopping = false;

  struct Ending {
    std::list<Signal>::iterator place;
    std::string name;
    bool essential = false;
  };
  void ended(const Ending& task, const std::exception_ptr& failure) {
    running.erase(task.place);
    if (running.empty()) empty.notify_all();
    if (!failure) return;
    std::string what = "an exception of unknown type";
    try {
      std::rethrow_exception(failure);
    } catch (const asio::system_error& error) {
      if (stopping && error.code() == asio::error::operation_aborted) return;
      what = error.what();
    } catch (const std::exception& error) {
      what = error.what();
    } catch (...) {  // whatever it is, it is told
    }
    log.error("task \"{}\" ended by an exception: {}", task.name, what);
    if (task.essential) loop.fail(fmt::format("{} ended: {}", task.name, what));
  }
};

namespace {

/// co_spawn may run the task inside the call; nobody who spawns expects that.
Task<> deferred(asio::any_io_executor executor, Task<> task) {
  co_await asio::post(executor, asio::use_awaitable);
  co_await std::move(task);
}

}  // namespace

TaskGroup::TaskGroup(Loop& loop, Logger log) : state_(std::make_shared<State>(loop, std::move(log))) {}

TaskGroup::~TaskGroup() {
  if (state_->running.empty()) return;
  std::fprintf(stderr, "krakend: a service was destroyed while %zu of its tasks were running\n",
               state_->running.size());
  std::abort();
}

void TaskGroup::spawn(Task<> task, std::string name) {
  spawn(std::move(task), std::move(name), false);
}

void TaskGroup::spawn_essential(Task<> task, std::string name) {
  spawn(std::move(task), std::move(name), true);
}

void TaskGroup::spawn(Task<> task, std::string name, bool essential) {
  if (state_->stopping) return;
  const auto place =
      state_->running.insert(state_->running.end(), std::make_shared<asio::cancellation_signal>());
  // It works for whoever spawned it.
  const asio::any_io_executor executor = traced(state_->loop, current_trace());
  asio::co_spawn(
      executor, deferred(executor, std::move(task)),
      asio::bind_cancellation_slot(
          (*place)->slot(), [state = state_, ending = State::Ending{place, std::move(name), essential}](
                                const std::exception_ptr& failure) { state->ended(ending, failure); }));
}

Task<> TaskGroup::stop() {
  const auto state = state_;
  state->stopping = true;
  const std::vector<State::Signal> signals(state->running.begin(), state->running.end());
  for (const auto& signal : signals) signal->emit(asio::cancellation_type::all);
  while (!state->running.empty()) co_await state->empty.wait();
}

size_t TaskGroup::size() const {
  return state_->running.size();
}
bool TaskGroup::stopping() const {
  return state_->stopping;
}

}  // namespace krakend::io
