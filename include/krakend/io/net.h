#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "krakend/core/result.h"
#include "krakend/core/time.h"
#include "krakend/io/content.h"
#include "krakend/io/disk.h"
#include "krakend/io/task.h"

namespace krakend::io {

struct Address {
  std::string host;  ///< numeric ip, or a name for connect(); to listen on a Unix socket: "unix:/path"
  uint16_t port = 0;

  bool operator==(const Address&) const = default;
  /// The file of a Unix socket; empty: it is none, or the nameless end of a client.
  std::string unix_path() const;
  std::string str() const;
  /// "host:port"; brackets around IPv6.
  static Result<Address> parse(std::string_view text);
};

/// What a secured connection tells of its other end. On a plain one nothing is known.
struct PeerSecurity {
  enum class Certificate {
    none,     ///< not asked for, or not shown
    valid,    ///< verified
    invalid,  ///< shown, but it does not lead to a known authority, or is out of date
  };
  bool secured = false;
  bool resumed = false;  ///< without a new exchange of certificates
  Certificate certificate = Certificate::none;
  std::string problem;  ///< why the certificate is invalid
};

/// Takes the bytes of a stream as they come. It is no task, so nobody has to be woken for each few bytes.
class Reader {
 public:
  virtual ~Reader() = default;
  /// Where the next bytes go; never empty.
  virtual std::span<std::byte> space() = 0;
  /// `got` is what a read into space() returned. True: it wants more; not after an error or the end.
  virtual bool took(Result<size_t> got) = 0;
};

/// One connection. Loop thread; at most one read-side and one write-side operation at a time. Large
/// transfers (receive, receive_file, send_file) wait for readiness on the loop and move the bytes on the pool
/// with a buffer that belongs to the pool thread, so a connection holds no memory while it waits.
class Stream {
 public:
  /// Closes the socket. No operation may be in flight; a coroutine that awaits one keeps the stream alive.
  virtual ~Stream() = default;

  /// Completes the handshake of a secured connection; any other operation does so first, too. Nothing
  /// happens on a plain one. protocol: the other side does not speak TLS, and whatever is written now goes to
  /// it as it is, so that it can be told. May be called again.
  virtual Task<Result<PeerSecurity>> handshake() { co_return PeerSecurity{}; }

  /// 0 bytes: the other side has closed its half.
  virtual Task<Result<size_t>> read_some(std::span<std::byte> out) = 0;
  /// What read_some() would return at once; nullopt: it has to wait.
  virtual std::optional<Result<size_t>> read_now(std::span<std::byte> /*out*/) { return std::nullopt; }
  /// Reads into `reader` until it wants no more, and not a byte beyond. It may be called inside of whatever the
  /// loop is doing, and must not let go of the stream.
  virtual Task<> read_into(Reader& reader);
  /// Writes all of `data`. `more`: further bytes follow at once (MSG_MORE).
  virtual Task<Result<void>> write(std::span<const std::byte> data, bool more = false) = 0;
  /// Writes as much of `data` as goes without waiting, and returns how much that was; for small messages that
  /// are not worth a task. Not while another write-side operation is in flight. A broken connection takes 0
  /// bytes here, and the next write() says why.
  virtual size_t write_now(std::span<const std::byte> /*data*/) { return 0; }

  /// Waits until bytes are there, then feeds what has arrived into `sink`, at most `max` bytes. Returns how
  /// many; 0 is the end of the stream. An error of the sink is returned as it is.
  virtual Task<Result<uint64_t>> receive(ByteSink& sink, uint64_t max) = 0;
  /// A hint for the next receive(): this many bytes are sure to come, so it may wait for a batch of them.
  virtual void expect(uint64_t /*bytes*/) {}
  /// Receives exactly `length` bytes to `offset` of `file`; the value is their CRC-32. Early end: network.
  /// `tap`, where given, is fed the same bytes on the pool while they are hot; it must not fail.
  virtual Task<Result<uint32_t>> receive_file(FilePtr file, uint64_t offset, uint64_t length,
                                              ByteSink* tap = nullptr) = 0;
  virtual Task<Result<void>> send_file(FilePtr file, uint64_t offset, uint64_t length) = 0;

  /// A hint: what is written waits where it can still be overtaken, and only about so many bytes in the
  /// stream, so that the next write is soon on its way.
  virtual void limit_backlog(uint64_t /*bytes*/) {}

  /// Ends all operations on both sides, now and later, with an error; idempotent. The descriptor stays
  /// reserved until the destructor, because a pool thread may be using it.
  virtual void shutdown() noexcept = 0;
  /// Bytes moved so far: how a watchdog sees progress inside a long operation. Those that have arrived and
  /// wait for their batch count as received.
  virtual uint64_t bytes_received() const = 0;
  virtual uint64_t bytes_sent() const = 0;
  virtual const Address& peer() const = 0;
  virtual const Address& local() const = 0;
};
using StreamPtr = std::shared_ptr<Stream>;

class Listener {
 public:
  virtual ~Listener() = default;
  /// The next connection. Lack of descriptors or memory is waited out inside; an error means close() was
  /// called.
  virtual Task<Result<StreamPtr>> accept() = 0;
  virtual const Address& local() const = 0;
  virtual void close() noexcept = 0;
};

class Net {
 public:
  virtual ~Net() = default;
  virtual Task<Result<StreamPtr>> connect(const Address& to, Duration timeout) = 0;
  /// Port 0 picks a free one. The error names the address and, for a port in use, the way out.
  virtual Result<std::unique_ptr<Listener>> listen(const Address& at) = 0;
  /// The numeric addresses of a host name, at least one.
  virtual Task<Result<std::vector<std::string>>> resolve(std::string host, Duration timeout) = 0;
};

}  // namespace krakend::io
