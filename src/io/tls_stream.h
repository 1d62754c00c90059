#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "io/tcp_stream.h"
#include "io/tls_session.h"
#include "krakend/io/condition.h"

namespace krakend::io {

/// TLS over a TCP stream. Small writes are encrypted where they are made, everything else on the pool, in the
/// buffer of the pool thread; a connection that waits holds neither buffer nor thread.
class TlsStream final : public Stream, public std::enable_shared_from_this<TlsStream> {
 public:
  TlsStream(Loop& loop, std::shared_ptr<TcpStream> socket, std::shared_ptr<TlsServer> server);
  TlsStream(Loop& loop, std::shared_ptr<TcpStream> socket, const std::shared_ptr<TlsClient>& client,
            std::string_view host);
  ~TlsStream() override;

  Task<Result<PeerSecurity>> handshake() override;
  Task<Result<size_t>> read_some(std::span<std::byte> out) override;
  Task<Result<void>> write(std::span<const std::byte> data, bool more) override;
  Task<Result<uint64_t>> receive(ByteSink& sink, uint64_t max) override;
  Task<Result<uint32_t>> receive_file(FilePtr file, uint64_t offset, uint64_t length, ByteSink* tap) override;
  Task<Result<void>> send_file(FilePtr file, uint64_t offset, uint64_t length) override;
  void shutdown() noexcept override;
  uint64_t bytes_received() const override;
  uint64_t bytes_sent() const override;
  const Address& peer() const override { return socket_->peer(); }
  const Address& local() const override { return socket_->local(); }

 private:
  using Want = TlsSession::Want;
  /// What a step on the pool came to.
  struct Progress {
    uint64_t moved = 0;
    Want want = Want::nothing;
    bool end = false;
    std::optional<Error> error;
  };

  Task<Result<void>> shake_hands();
  Task<Result<void>> expect_hello();
  /// Ready for content. An error, or false where everything goes in the clear.
  Task<Result<bool>> secured();
  Task<Result<void>> wait(Want want);
  Task<Result<void>> write_all(std::span<const std::byte> data);
  Progress receive_step(ByteSink& sink, uint64_t max);
  Progress send_step(File& file, uint64_t offset, uint64_t length);
  Progress copy_step(File& file, uint64_t offset, uint64_t length);
  Progress write_step(std::span<const std::byte> data);
  Error failure(const TlsSession::Step& step, const char* what) const;

  enum class State { new_connection, shaking, secured, clear, failed };

  Loop& loop_;
  std::shared_ptr<TcpStream> socket_;
  std::shared_ptr<TlsServer> server_;  ///< until the handshake begins
  std::string session_key_;            ///< of the connecting end
  std::unique_ptr<TlsSession> session_;
  State state_ = State::new_connection;
  std::optional<Error> failed_;
  Condition shaken_;
  std::atomic<uint64_t> received_{0};
  std::atomic<uint64_t> sent_{0};
};

}  // namespace krakend::io
