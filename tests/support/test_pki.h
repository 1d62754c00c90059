#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <vector>

namespace krakend::test {

/// A certificate with its key, made on the spot (ECDSA P-256), and PEM texts of both.
class TestCertificate {
 public:
  struct Wanted {
    std::string common_name;
    /// As OpenSSL spells them: "DNS:kraken,IP:127.0.0.1"; empty: none.
    std::string names = {};
    bool authority = false;
    long valid_seconds = 24L * 3600;
  };
  /// Signed by `issuer`; null: by itself.
  explicit TestCertificate(const Wanted& wanted, const TestCertificate* issuer = nullptr);

  std::string certificate_pem() const;
  /// A `passphrase` encrypts it, in the traditional form with AES-256-CBC.
  std::string key_pem(const std::string& passphrase = {}) const;
  std::string pkcs8_key_pem(const std::string& passphrase) const;

 private:
  std::shared_ptr<EVP_PKEY> key_;
  std::shared_ptr<X509> certificate_;
};

}  // namespace krakend::test
