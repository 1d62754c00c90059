#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "krakend/core/result.h"
#include "krakend/io/disk.h"
#include "krakend/io/loop.h"
#include "krakend/io/net.h"

namespace krakend::io {

/// Where the material of one side lies, as PEM (contract config-ops §4). Keys may be encrypted, in the
/// traditional form too.
struct TlsFiles {
  std::string cert;        ///< certificate, then those that lead from it to its authority
  std::string key;         ///< of the certificate
  std::string passphrase;  ///< of the key: one try per line; empty: none
  std::vector<std::string> cas;
  bool operator==(const TlsFiles&) const = default;
};

struct TlsClientOptions {
  TlsFiles files;
  /// The name that servers must prove, whatever their address; empty: the host of the address.
  std::string server_name;
  bool operator==(const TlsClientOptions&) const = default;
};

/// What was read from the files; the streams of io hold it.
class TlsContext;

/// The time the certificate of a side ends.
using CertificateEnd = std::chrono::system_clock::time_point;

/// What the listeners of a role need to serve TLS 1.2 and 1.3: its certificate, and the authorities of
/// clients' certificates. Certificates are asked for where there are authorities, and judged by whoever reads
/// Stream::handshake(): none, or an invalid one, does not end the handshake. Thread-safe.
class TlsServer {
 public:
  /// Blocks on the disk. Errors name the file and what to do.
  static Result<std::shared_ptr<TlsServer>> load(Disk& disk, TlsFiles files);

  /// Reads the files again, for the connections from now on; sessions of before are not resumed. An error
  /// changes nothing. Blocks on the disk.
  Result<void> reload(Disk& disk);
  CertificateEnd ends() const;
  const TlsFiles& files() const { return files_; }
  std::shared_ptr<TlsContext> context() const;

 private:
  explicit TlsServer(TlsFiles files) : files_(std::move(files)) {}
  const TlsFiles files_;
  mutable std::mutex mutex_;
  std::shared_ptr<TlsContext> context_;  // guarded
};

/// The same for connections to others. Servers must show a certificate for the server name (subject
/// alternative names count, common names do not) that leads to one of the authorities or to one of the
/// system. Sessions are kept and resumed. Thread-safe.
class TlsClient {
 public:
  static Result<std::shared_ptr<TlsClient>> load(Disk& disk, TlsClientOptions options);

  Result<void> reload(Disk& disk);
  /// nullopt: no client certificate.
  std::optional<CertificateEnd> ends() const;
  const TlsClientOptions& options() const { return options_; }
  std::shared_ptr<TlsContext> context() const;

 private:
  explicit TlsClient(TlsClientOptions options) : options_(std::move(options)) {}
  const TlsClientOptions options_;
  mutable std::mutex mutex_;
  std::shared_ptr<TlsContext> context_;  // guarded
};

/// The connections of `plain`, secured. accept() does not wait for the handshake. `plain` must be a listener
/// of make_tcp_net().
std::unique_ptr<Listener> make_tls_listener(Loop& loop, std::unique_ptr<Listener> plain,
                                            std::shared_ptr<TlsServer> server);
/// Secures the near end of a connection made by make_tcp_net(); `host` is what was connected to.
StreamPtr make_tls_stream(Loop& loop, StreamPtr plain, std::shared_ptr<TlsClient> client,
                          std::string_view host);

/// TLS on a blocking socket, for a client that lives on a thread of its own. One thread at a time.
class TlsChannel {
 public:
  /// Handshakes on the connected `socket`, which must stay open as long as the channel lives, and becomes
  /// non-blocking. `host`, `port`: what was connected to. Errors: network, timeout, and protocol when the
  /// other side fails to prove its name or refuses us; the message says why.
  static Result<std::unique_ptr<TlsChannel>> connect(TlsClient& client, int socket, const std::string& host,
                                                     uint16_t port, Duration timeout);
  virtual ~TlsChannel() = default;
  /// 0: the other side has ended. Waits at most `timeout` at a time.
  virtual Result<size_t> read(std::span<std::byte> out, Duration timeout) = 0;
  /// Some of `data`, at least one byte.
  virtual Result<size_t> write(std::span<const std::byte> data, Duration timeout) = 0;
  /// Bytes are there that read() returns without waiting for the socket.
  virtual bool pending() const = 0;
  virtual bool resumed() const = 0;
};

}  // namespace krakend::io
