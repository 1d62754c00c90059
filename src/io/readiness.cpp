#include "io/readiness.h"

#include <algorithm>
#include <asio/io_context.hpp>
#include <asio/query.hpp>
#include <asio/redirect_error.hpp>
#include <asio/system_error.hpp>
#include <asio/use_awaitable.hpp>
#include <cerrno>
#include <span>

namespace krakend::io {

asio::execution_context::id ReadinessPoll::id;

namespace {

constexpr uint32_t read_events = EPOLLIN | EPOLLRDHUP;
constexpr uint32_t write_events = EPOLLOUT;
/// These come whether asked for or not, and make both directions end.
constexpr uint32_t end_events = EPOLLHUP | EPOLLERR;
/// Sockets told of at a time; more are told of in the next turn of the loop.
constexpr size_t batch = 128;

}  // namespace

ReadinessPoll& ReadinessPoll::of(Loop& loop) {
  return asio::use_service<ReadinessPoll>(asio::query(loop.executor(), asio::execution::context));
}

ReadinessPoll::ReadinessPoll(asio::execution_context& context)
    : service(context),
      epoll_(::epoll_create1(EPOLL_CLOEXEC)),
      watched_(static_cast<asio::io_context&>(context)) {}

void ReadinessPoll::shutdown() {
  if (watched_.is_open()) watched_.release();
}

/// Not in the constructor: without descriptors left a socket must fail, not the process.
void ReadinessPoll::start() {
  if (started_) return;
  asio::error_code error;
  if (epoll_.get() < 0) epoll_ = Descriptor(::epoll_create1(EPOLL_CLOEXEC));
  if (epoll_.get() < 0) return;
  watched_.assign(epoll_.get(), error);
  if (error) return;
  started_ = true;
  tell();
}

/// Resuming is posted, so no watch can go while a batch is gone through.
void ReadinessPoll::tell() {
  watched_.async_wait(asio::posix::stream_descriptor::wait_read, [this](const asio::error_code& error) {
    if (error) return;
    std::array<epoll_event, batch> events;
    const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 0);
    for (const epoll_event& event : std::span(events).first(static_cast<size_t>(std::max(count, 0))))
      static_cast<SocketWatch*>(event.data.ptr)->ready(event.events);
    tell();
  });
}

SocketWatch::SocketWatch(Loop& loop, int fd)
    : poll_(ReadinessPoll::of(loop)), fd_(fd), read_(loop.executor()), write_(loop.executor()) {
  poll_.start();
  epoll_event event{};
  event.events = EPOLLONESHOT;
  event.data.ptr = this;
  if (::epoll_ctl(poll_.epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) failed_ = errno;
}

SocketWatch::~SocketWatch() {
  if (failed_ == 0) ::epoll_ctl(poll_.epoll_.get(), EPOLL_CTL_DEL, fd_, nullptr);
}

void SocketWatch::arm() {
  epoll_event event{};
  event.events = armed_ | EPOLLONESHOT;
  event.data.ptr = this;
  ::epoll_ctl(poll_.epoll_.get(), EPOLL_CTL_MOD, fd_, &event);
}

void SocketWatch::ready(uint32_t events) {
  const bool ended = (events & end_events) != 0;
  if (ended || (events & read_events) != 0) {
    armed_ &= ~read_events;
    resume(read_);
  }
  if (ended || (events & write_events) != 0) {
    armed_ &= ~write_events;
    resume(write_);
  }
  if (armed_ != 0) arm();
}

void SocketWatch::resume(Waiters& waiters) {
  ++waiters.woken;
  waiters.alarm.cancel();
}

void SocketWatch::wake() {
  resume(read_);
  resume(write_);
}

Task<> SocketWatch::wait(Direction direction) {
  auto& waiters = direction == Direction::read ? read_ : write_;
  const uint64_t before = waiters.woken;
  armed_ |= direction == Direction::read ? read_events : write_events;
  arm();
  asio::error_code error;
  co_await waiters.alarm.async_wait(asio::redirect_error(asio::use_awaitable, error));
  // The task is being stopped: let the exception out.
  if (waiters.woken == before) throw asio::system_error(error);
}

}  // namespace krakend::io
