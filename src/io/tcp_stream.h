#pragma once

#include <atomic>
#include <memory>

#include "io/readiness.h"
#include "io/socket.h"
#include "krakend/io/loop.h"
#include "krakend/io/net.h"

namespace krakend::io {

/// A connected socket. Waiting happens on the loop through epoll, system calls of large transfers on the
/// pool.
class TcpStream final : public Stream, public std::enable_shared_from_this<TcpStream> {
 public:
  /// Fails when the loop cannot watch one more descriptor.
  static Result<StreamPtr> make(Loop& loop, Descriptor fd);
  TcpStream(Loop& loop, Descriptor fd);

  Task<Result<size_t>> read_some(std::span<std::byte> out) override;
  std::optional<Result<size_t>> read_now(std::span<std::byte> out) override;
  Task<> read_into(Reader& reader) override;
  Task<Result<void>> write(std::span<const std::byte> data, bool more) override;
  size_t write_now(std::span<const std::byte> data) override;
  Task<Result<uint64_t>> receive(ByteSink& sink, uint64_t max) override;
  Task<Result<uint32_t>> receive_file(FilePtr file, uint64_t offset, uint64_t length, ByteSink* tap) override;
  Task<Result<void>> send_file(FilePtr file, uint64_t offset, uint64_t length) override;
  void limit_backlog(uint64_t bytes) override;
  void expect(uint64_t bytes) override { expected_ = bytes; }
  void shutdown() noexcept override;
  uint64_t bytes_received() const override;
  uint64_t bytes_sent() const override { return sent_.load(std::memory_order_relaxed); }
  const Address& peer() const override { return peer_; }
  const Address& local() const override { return local_; }

  // What a TLS stream on top of the socket is made of.
  /// Until the socket is ready; an error after shutdown().
  Task<Result<void>> wait(Direction direction);
  int descriptor() const { return descriptor_.get(); }
  bool is_shut() const { return shut_; }
  /// errno of the operation `what` ("read from"); `cancelled` after shutdown().
  Error failure(int err, const char* what) const;

 private:
  /// What one step on the pool came to.
  struct Step {
    uint64_t moved = 0;
    bool would_block = false;
    bool end = false;
    std::optional<Error> error;
  };

  enum class Feed {
    on,    ///< there may be more
    wait,  ///< until there is more
    done   ///< the reader wants no more
  };

  Feed feed(Reader& reader);
  void take_out(size_t count);
  std::optional<Result<size_t>> receive_now(std::span<std::byte> out, int flags);
  Step receive_step(ByteSink& sink, uint64_t max);
  Step send_step(File& file, uint64_t offset, uint64_t length);
  ssize_t send_some(File& file, uint64_t offset, size_t length, std::optional<Error>& error);
  void set_low_water(uint64_t bytes);

  Loop& loop_;
  const Descriptor descriptor_;
  SocketWatch watch_;  ///< after the descriptor
  std::atomic<bool> shut_{false};
  std::atomic<uint64_t> received_{0};
  std::atomic<uint64_t> sent_{0};
  uint64_t low_water_ = 1;
  uint64_t expected_ = 0;  ///< for the next receive()
  Address peer_;
  Address local_;
};

}  // namespace krakend::io
