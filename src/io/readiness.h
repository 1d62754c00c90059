#pragma once

#include <sys/epoll.h>

#include <array>
#include <asio/execution_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/steady_timer.hpp>
#include <memory>

#include "io/socket.h"
#include "krakend/io/loop.h"

namespace krakend::io {

enum class Direction { read, write };

/// Tells the loop once per wait that a socket is ready, and nothing while nobody waits: the reactor would
/// wake the loop thread at each arrival, also while a pool thread is taking the bytes. One epoll of one-shot
/// registrations, itself watched by the loop. Lives as long as the loop; loop thread only.
class ReadinessPoll final : public asio::execution_context::service {
 public:
  using key_type = ReadinessPoll;
  static asio::execution_context::id id;
  static ReadinessPoll& of(Loop& loop);

  explicit ReadinessPoll(asio::execution_context& context);

 private:
  friend class SocketWatch;

  void shutdown() override;
  void start();
  void tell();

  Descriptor epoll_;
  asio::posix::stream_descriptor watched_;  ///< borrows epoll_
  bool started_ = false;
};

/// One registered socket. Must go before the socket is closed.
class SocketWatch {
 public:
  SocketWatch(Loop& loop, int fd);
  SocketWatch(const SocketWatch&) = delete;
  SocketWatch& operator=(const SocketWatch&) = delete;
  ~SocketWatch();

  /// Whether the system could register the socket: an errno, or 0.
  int failed() const { return failed_; }
  /// Suspends until the socket is ready or wake() is called.
  Task<> wait(Direction direction);
  /// Resumes whoever waits.
  void wake();

 private:
  friend class ReadinessPoll;

  /// An alarm that never goes off; whoever waits for it is resumed by taking it back.
  struct Waiters {
    explicit Waiters(const asio::any_io_executor& executor)
        : alarm(executor, asio::steady_timer::time_point::max()) {}
    asio::steady_timer alarm;
    uint64_t woken = 0;
  };

  void arm();
  void ready(uint32_t events);
  void resume(Waiters& waiters);

  ReadinessPoll& poll_;
  const int fd_;
  int failed_ = 0;
  uint32_t armed_ = 0;  ///< epoll events that are waited for
  Waiters read_;
  Waiters write_;
};

}  // namespace krakend::io
