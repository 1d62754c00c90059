#include "io/tls_context.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <array>
#include <ctime>
#include <string_view>
#include <vector>

#include "krakend/core/units.h"

namespace krakend::io {
namespace {

constexpr uint64_t max_pem = 1 * MiB;
/// How long a session may be resumed, and so how long a verdict on a certificate may be used.
constexpr long session_seconds = 3600;
/// TLS 1.2 as the reference's nginx offers it, and ChaCha20 for hosts without AES instructions.
constexpr const char* ciphers =
    "ECDH+AESGCM:ECDH+CHACHA20:ECDH+AES256:ECDH+AES128:!ADH:!AECDH:!MD5:!SHA1:!aNULL:!eNULL";
constexpr std::array<unsigned char, 7> session_scope{'k', 'r', 'a', 'k', 'e', 'n', 'd'};

using BioPtr = std::unique_ptr<BIO, OpensslDeleter<BIO_free>>;
using X509Ptr = std::unique_ptr<X509, OpensslDeleter<X509_free>>;
using KeyPtr = std::unique_ptr<EVP_PKEY, OpensslDeleter<EVP_PKEY_free>>;

BioPtr reader(const std::string& text) {
  return BioPtr(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

Result<std::string> read_pem(Disk& disk, const std::string& path, std::string_view what) {
  auto text = read_file(disk, path, max_pem);
  if (!text) return fail(text.error().code, "TLS {}: {}", what, text.error().message);
  return text;
}

CertificateEnd end_of(const X509* certificate) {
  std::tm time{};
  ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &time);
  return std::chrono::system_clock::from_time_t(::timegm(&time));
}

std::vector<std::string> lines_of(std::string_view text) {
  constexpr std::string_view blank = " \t\r\n";
  std::vector<std::string> lines;
  while (!text.empty()) {
    auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(text.size(), line.size() + 1));
    line.remove_prefix(std::min(line.size(), line.find_first_not_of(blank)));
    if (const auto end = line.find_last_not_of(blank); end != line.npos)
      lines.emplace_back(line.substr(0, end + 1));
  }
  return lines;
}

struct Passphrase {
  std::string text;
  bool wanted = false;
};

int give_passphrase(char* out, int size, int /*writing*/, void* data) {
  auto& passphrase = *static_cast<Passphrase*>(data);
  passphrase.wanted = true;
  if (passphrase.text.empty() || passphrase.text.size() > static_cast<size_t>(size)) return -1;
  passphrase.text.copy(out, passphrase.text.size());
  return static_cast<int>(passphrase.text.size());
}

Result<KeyPtr> read_key(const std::string& pem, const TlsFiles& files, std::vector<std::string> passphrases) {
  if (passphrases.empty()) passphrases.emplace_back();
  bool encrypted = false;
  std::string reason;
  for (const std::string& text : passphrases) {
    Passphrase passphrase{text};
    KeyPtr key(PEM_read_bio_PrivateKey(reader(pem).get(), nullptr, give_passphrase, &passphrase));
    if (key) return key;
    reason = openssl_reason();
    encrypted = encrypted || passphrase.wanted;
  }
  if (!encrypted)
    return fail(Errc::invalid_argument, "TLS key {}: no private key in PEM: {}", files.key, reason);
  if (files.passphrase.empty()) {
    return fail(Errc::invalid_argument,
                "TLS key {} is encrypted: name the file of its passphrase (passphrase.path)", files.key);
  }
  return fail(Errc::invalid_argument, "TLS key {}: the passphrase in {} does not open it", files.key,
              files.passphrase);
}

/// Every certificate of a PEM file; at least one.
Result<std::vector<X509Ptr>> read_certificates(Disk& disk, const std::string& path, std::string_view what) {
  auto pem = read_pem(disk, path, what);
  if (!pem) return propagate(pem);
  const BioPtr bio = reader(*pem);
  std::vector<X509Ptr> all;
  ERR_clear_error();
  while (X509Ptr one{PEM_read_bio_X509_AUX(bio.get(), nullptr, nullptr, nullptr)})
    all.push_back(std::move(one));
  const auto last = ERR_peek_last_error();
  const bool at_end = ERR_GET_LIB(last) == ERR_LIB_PEM && ERR_GET_REASON(last) == PEM_R_NO_START_LINE;
  const std::string reason = openssl_reason();
  if (all.empty() || !at_end)
    return fail(Errc::invalid_argument, "TLS {} {}: no certificate in PEM: {}", what, path, reason);
  return all;
}

/// A certificate that does not verify is for the caller to judge, after the handshake.
int accept_any(int /*verified*/, X509_STORE_CTX* /*store*/) {
  return 1;
}

int context_index() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}
int key_index() {
  static const int index = SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

bool is_address(const std::string& host) {
  std::array<unsigned char, sizeof(in6_addr)> out{};
  return ::inet_pton(AF_INET, host.c_str(), out.data()) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), out.data()) == 1;
}

SslContextPtr make_context(const SSL_METHOD* method) {
  SslContextPtr made(SSL_CTX_new(method));
  SSL_CTX* context = made.get();
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  SSL_CTX_set_cipher_list(context, ciphers);
  SSL_CTX_set_options(context,
                      SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
#ifdef SSL_OP_ENABLE_KTLS
  SSL_CTX_set_options(context, SSL_OP_ENABLE_KTLS);
#endif
  // A parked connection holds no buffers, and a step that could not write all goes on from any buffer.
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_read_ahead(context, 1);
  SSL_CTX_set_timeout(context, session_seconds);
  // What the operator names is trusted, be it a root or not: as the reference's clients do.
  X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(context), X509_V_FLAG_PARTIAL_CHAIN);
  return made;
}

}  // namespace

std::string openssl_reason() {
  const auto last = ERR_peek_last_error();
  const char* text = ERR_reason_error_string(last);
  ERR_clear_error();
  return text != nullptr ? text : "unknown reason";
}

Result<void> TlsContext::load_identity(Disk& disk, const TlsFiles& files) {
  auto certificates = read_certificates(disk, files.cert, "certificate");
  if (!certificates) return propagate(certificates);
  auto pem = read_pem(disk, files.key, "key");
  if (!pem) return propagate(pem);
  std::vector<std::string> passphrases;
  if (!files.passphrase.empty()) {
    auto text = read_pem(disk, files.passphrase, "passphrase");
    if (!text) return propagate(text);
    passphrases = lines_of(*text);
  }
  auto key = read_key(*pem, files, std::move(passphrases));
  if (!key) return propagate(key);
  ERR_clear_error();
  if (SSL_CTX_use_certificate(context_.get(), certificates->front().get()) != 1)
    return fail(Errc::invalid_argument, "TLS certificate {}: {}", files.cert, openssl_reason());
  for (size_t i = 1; i < certificates->size(); ++i)
    SSL_CTX_add1_chain_cert(context_.get(), (*certificates)[i].get());
  if (SSL_CTX_use_PrivateKey(context_.get(), key->get()) != 1 ||
      SSL_CTX_check_private_key(context_.get()) != 1) {
    return fail(Errc::invalid_argument, "TLS key {} does not belong to the certificate {}: {}", files.key,
                files.cert, openssl_reason());
  }
  ends_ = end_of(certificates->front().get());
  return {};
}

Result<void> TlsContext::load_authority(Disk& disk, const std::string& path) {
  auto certificates = read_certificates(disk, path, "authority");
  if (!certificates) return propagate(certificates);
  X509_STORE* store = SSL_CTX_get_cert_store(context_.get());
  for (const X509Ptr& certificate : *certificates) {
    X509_STORE_add_cert(store, certificate.get());
    SSL_CTX_add_client_CA(context_.get(), certificate.get());
  }
  return {};
}

Result<void> TlsContext::load(Disk& disk, const TlsFiles& files) {
  if (!files.cert.empty() || !files.key.empty()) {
    if (files.cert.empty() || files.key.empty()) {
      return fail(Errc::invalid_argument, "TLS {} has no {}: name both cert.path and key.path",
                  files.cert.empty() ? "key " + files.key : "certificate " + files.cert,
                  files.cert.empty() ? "certificate" : "key");
    }
    if (auto loaded = load_identity(disk, files); !loaded) return loaded;
  }
  for (const std::string& path : files.cas) {
    if (auto loaded = load_authority(disk, path); !loaded) return loaded;
  }
  return {};
}

Result<std::shared_ptr<TlsContext>> TlsContext::for_server(Disk& disk, const TlsFiles& files) {
  std::shared_ptr<TlsContext> made(new TlsContext);
  made->context_ = make_context(TLS_server_method());
  SSL_CTX* context = made->context_.get();
  if (files.cert.empty())
    return fail(Errc::invalid_argument, "TLS needs a certificate and its key: name cert.path and key.path");
  if (auto loaded = made->load(disk, files); !loaded) return propagate(loaded);
  // Sessions are the clients' to keep, in tickets. A request is framed by its length, so an end without the
  // last word of TLS hides nothing.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_session_id_context(context, session_scope.data(), session_scope.size());
  SSL_CTX_set_num_tickets(context, 1);
  SSL_CTX_set_options(context, SSL_OP_IGNORE_UNEXPECTED_EOF);
  if (!files.cas.empty()) SSL_CTX_set_verify(context, SSL_VERIFY_PEER, accept_any);
  return made;
}

Result<std::shared_ptr<TlsContext>> TlsContext::for_client(Disk& disk, const TlsClientOptions& options) {
  std::shared_ptr<TlsContext> made(new TlsContext);
  made->context_ = make_context(TLS_client_method());
  made->server_name_ = options.server_name;
  SSL_CTX* context = made->context_.get();
  SSL_CTX_set_default_verify_paths(context);
  if (auto loaded = made->load(disk, options.files); !loaded) return propagate(loaded);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
  SSL_CTX_sess_set_new_cb(context, keep_session);
  return made;
}

SslPtr TlsContext::accepting() const {
  SslPtr ssl(SSL_new(context_.get()));
  SSL_set_accept_state(ssl.get());
  return ssl;
}

SslPtr TlsContext::connecting(const std::string& host, const std::string& key) {
  SslPtr ssl(SSL_new(context_.get()));
  const std::string& name = server_name_.empty() ? host : server_name_;
  X509_VERIFY_PARAM* wanted = SSL_get0_param(ssl.get());
  X509_VERIFY_PARAM_set_hostflags(wanted,
                                  X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  if (is_address(name)) {
    X509_VERIFY_PARAM_set1_ip_asc(wanted, name.c_str());
  } else {
    SSL_set1_host(ssl.get(), name.c_str());
    SSL_set_tlsext_host_name(ssl.get(), name.c_str());
  }
  SSL_set_connect_state(ssl.get());
  SSL_set_ex_data(ssl.get(), context_index(), this);
  SSL_set_ex_data(ssl.get(), key_index(), const_cast<std::string*>(&key));
  const std::lock_guard lock(mutex_);
  if (const auto known = sessions_.find(key); known != sessions_.end())
    SSL_set_session(ssl.get(), known->second.get());
  return ssl;
}

int TlsContext::keep_session(SSL* ssl, SSL_SESSION* session) {
  auto* self = static_cast<TlsContext*>(SSL_get_ex_data(ssl, context_index()));
  const auto* key = static_cast<const std::string*>(SSL_get_ex_data(ssl, key_index()));
  const std::lock_guard lock(self->mutex_);
  if (self->sessions_.size() >= max_sessions && !self->sessions_.contains(*key)) self->sessions_.clear();
  self->sessions_[*key].reset(session);
  return 1;  // the session is ours now
}

Result<std::shared_ptr<TlsServer>> TlsServer::load(Disk& disk, TlsFiles files) {
  std::shared_ptr<TlsServer> made(new TlsServer(std::move(files)));
  if (auto loaded = made->reload(disk); !loaded) return propagate(loaded);
  return made;
}

Result<void> TlsServer::reload(Disk& disk) {
  auto context = TlsContext::for_server(disk, files_);
  if (!context) return propagate(context);
  const std::lock_guard lock(mutex_);
  context_ = std::move(*context);
  return {};
}

std::shared_ptr<TlsContext> TlsServer::context() const {
  const std::lock_guard lock(mutex_);
  return context_;
}

CertificateEnd TlsServer::ends() const {
  return *context()->ends();
}

Result<std::shared_ptr<TlsClient>> TlsClient::load(Disk& disk, TlsClientOptions options) {
  std::shared_ptr<TlsClient> made(new TlsClient(std::move(options)));
  if (auto loaded = made->reload(disk); !loaded) return propagate(loaded);
  return made;
}

Result<void> TlsClient::reload(Disk& disk) {
  auto context = TlsContext::for_client(disk, options_);
  if (!context) return propagate(context);
  const std::lock_guard lock(mutex_);
  context_ = std::move(*context);
  return {};
}

std::shared_ptr<TlsContext> TlsClient::context() const {
  const std::lock_guard lock(mutex_);
  return context_;
}

std::optional<CertificateEnd> TlsClient::ends() const {
  return context()->ends();
}

}  // namespace krakend::io
