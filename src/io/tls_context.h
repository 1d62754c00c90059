#pragma once

#include <openssl/ssl.h>

#include <chrono>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "krakend/io/tls.h"

namespace krakend::io {

template <auto free_function>
struct OpensslDeleter {
  template <class T>
  void operator()(T* object) const {
    free_function(object);
  }
};
using SslPtr = std::unique_ptr<SSL, OpensslDeleter<SSL_free>>;
using SslContextPtr = std::unique_ptr<SSL_CTX, OpensslDeleter<SSL_CTX_free>>;
using SslSessionPtr = std::unique_ptr<SSL_SESSION, OpensslDeleter<SSL_SESSION_free>>;

/// One reading of the files of a side; never changes. Thread-safe.
class TlsContext {
 public:
  /// Sessions kept for resumption, one a server; one more throws all of them away.
  static constexpr size_t max_sessions = 1024;

  static Result<std::shared_ptr<TlsContext>> for_server(Disk& disk, const TlsFiles& files);
  static Result<std::shared_ptr<TlsContext>> for_client(Disk& disk, const TlsClientOptions& options);

  /// An accepting end.
  SslPtr accepting() const;
  /// A connecting end for `host`, ready to resume the last session with `key`, which must stay where it is as
  /// long as the end lives.
  SslPtr connecting(const std::string& host, const std::string& key);
  const std::optional<CertificateEnd>& ends() const { return ends_; }

 private:
  TlsContext() = default;
  Result<void> load(Disk& disk, const TlsFiles& files);
  Result<void> load_identity(Disk& disk, const TlsFiles& files);
  Result<void> load_authority(Disk& disk, const std::string& path);
  static int keep_session(SSL* ssl, SSL_SESSION* session);

  SslContextPtr context_;
  std::string server_name_;
  std::optional<CertificateEnd> ends_;
  std::mutex mutex_;
  std::map<std::string, SslSessionPtr, std::less<>> sessions_;  // guarded; by "host:port"
};

/// What OpenSSL last complained of on this thread.
std::string openssl_reason();

}  // namespace krakend::io
