#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <string>

#include "io/tls_context.h"

namespace krakend::io {

/// One end of a TLS connection over a non-blocking socket. Each call takes one step and never waits: it says
/// what the socket must be ready for before the next one. Any thread; reading and writing may go on at once.
class TlsSession {
 public:
  enum class Want { nothing, read, write };
  struct Step {
    size_t moved = 0;  ///< bytes of content
    Want want = Want::nothing;
    bool end = false;     ///< the other side has ended
    int err = 0;          ///< errno of a failed socket
    std::string problem;  ///< of TLS itself
    bool failed() const { return err != 0 || !problem.empty(); }
  };

  /// Borrows the socket. `ssl` is one of the ends that `context` makes; `key` must have been given to it.
  TlsSession(std::shared_ptr<TlsContext> context, SslPtr ssl, int socket);

  Step handshake();
  Step read(std::span<std::byte> out);
  /// After a step that could not write, the next one begins with the same bytes, at least as many.
  Step write(std::span<const std::byte> data);
  /// Only where the kernel encrypts.
  Step send_file(int file, uint64_t offset, size_t length);
  bool kernel_encrypts() const { return kernel_encrypts_; }

  /// Bytes are buffered that a read() may give without the socket.
  bool pending() const;
  /// Known after the first step of an accepting end.
  bool resumed() const;
  PeerSecurity security() const;
  /// Says that nothing more follows, if that goes without waiting for anyone.
  void say_end() noexcept;

 private:
  Step settle(int result, size_t moved);
  std::string describe() const;

  std::shared_ptr<TlsContext> context_;
  mutable std::mutex mutex_;
  SslPtr ssl_;           // guarded
  bool broken_ = false;  // guarded
  bool kernel_encrypts_ = false;
};

}  // namespace krakend::io
