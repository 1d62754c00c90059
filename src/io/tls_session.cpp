#include "io/tls_session.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/x509.h>

#include <array>
#include <cerrno>

#include "krakend/core/units.h"

namespace krakend::io {
namespace {

/// Whoever reads that much at once gets a buffer of several records: fewer system calls. Everybody else has
/// one of a single record.
constexpr size_t bulk_buffer = 64 * KiB;

}  // namespace

TlsSession::TlsSession(std::shared_ptr<TlsContext> context, SslPtr ssl, int socket)
    : context_(std::move(context)), ssl_(std::move(ssl)) {
  SSL_set_fd(ssl_.get(), socket);
}

/// What the last call came to. The lock is held.
TlsSession::Step TlsSession::settle(int result, size_t moved) {
  Step step;
  step.moved = moved;
  if (result > 0) return step;
  const int err = errno;
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      step.want = Want::read;
      return step;
    case SSL_ERROR_WANT_WRITE:
      step.want = Want::write;
      return step;
    case SSL_ERROR_ZERO_RETURN:
      step.end = true;
      return step;
    case SSL_ERROR_SYSCALL:
      step.err = err != 0 ? err : ECONNRESET;
      break;
    default:
      // An end without the last word of TLS may be an attacker's: it is a lost connection.
      if (ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
        step.err = ECONNRESET;
      else
        step.problem = describe();
  }
  broken_ = true;
  return step;
}

/// The reason of a failed handshake or record. The lock is held.
std::string TlsSession::describe() const {
  const long verdict = SSL_get_verify_result(ssl_.get());
  const auto last = ERR_peek_last_error();
  if (ERR_GET_REASON(last) == SSL_R_CERTIFICATE_VERIFY_FAILED && verdict != X509_V_OK) {
    ERR_clear_error();
    const char* name = SSL_get_servername(ssl_.get(), TLSEXT_NAMETYPE_host_name);
    return fmt::format("its certificate is not valid{}{}: {}", name != nullptr ? " for " : "",
                       name != nullptr ? name : "", X509_verify_cert_error_string(verdict));
  }
  return openssl_reason();
}

TlsSession::Step TlsSession::handshake() {
  const std::lock_guard lock(mutex_);
  ERR_clear_error();
  errno = 0;
  const int result = SSL_do_handshake(ssl_.get());
  if (result == 1) kernel_encrypts_ = BIO_get_ktls_send(SSL_get_wbio(ssl_.get())) != 0;
  return settle(result, 0);
}

TlsSession::Step TlsSession::read(std::span<std::byte> out) {
  const std::lock_guard lock(mutex_);
  ERR_clear_error();
  errno = 0;
  // Holds for the next buffer: one is given back whenever it is empty.
  SSL_set_default_read_buffer_len(ssl_.get(), out.size() >= bulk_buffer ? bulk_buffer : 0);
  size_t moved = 0;
  const int result = SSL_read_ex(ssl_.get(), out.data(), out.size(), &moved);
  return settle(result, moved);
}

TlsSession::Step TlsSession::write(std::span<const std::byte> data) {
  const std::lock_guard lock(mutex_);
  ERR_clear_error();
  errno = 0;
  size_t moved = 0;
  const int result = SSL_write_ex(ssl_.get(), data.data(), data.size(), &moved);
  return settle(result, moved);
}

TlsSession::Step TlsSession::send_file(int file, uint64_t offset, size_t length) {
  const std::lock_guard lock(mutex_);
  ERR_clear_error();
  errno = 0;
  const auto put = SSL_sendfile(ssl_.get(), file, static_cast<off_t>(offset), length, 0);
  return put >= 0 ? settle(1, static_cast<size_t>(put)) : settle(static_cast<int>(put), 0);
}

bool TlsSession::pending() const {
  const std::lock_guard lock(mutex_);
  return SSL_has_pending(ssl_.get()) == 1;
}

bool TlsSession::resumed() const {
  const std::lock_guard lock(mutex_);
  return SSL_session_reused(ssl_.get()) == 1;
}

PeerSecurity TlsSession::security() const {
  const std::lock_guard lock(mutex_);
  PeerSecurity peer;
  peer.secured = true;
  peer.resumed = SSL_session_reused(ssl_.get()) == 1;
  if (SSL_get0_peer_certificate(ssl_.get()) == nullptr) return peer;
  const long verdict = SSL_get_verify_result(ssl_.get());
  peer.certificate =
      verdict == X509_V_OK ? PeerSecurity::Certificate::valid : PeerSecurity::Certificate::invalid;
  if (verdict != X509_V_OK) peer.problem = X509_verify_cert_error_string(verdict);
  return peer;
}

void TlsSession::say_end() noexcept {
  // Whoever holds the lock is moving bytes: the end of the socket will have to do.
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock() || broken_ || SSL_is_init_finished(ssl_.get()) == 0) return;
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
  // A socket that is closed with unread bytes sends a reset, which destroys what is on its way to the other
  // side: a session ticket that nobody waited for must not do that.
  std::array<std::byte, 256> unread;
  SSL_read(ssl_.get(), unread.data(), static_cast<int>(unread.size()));
  ERR_clear_error();
}

}  // namespace krakend::io
