#include "support/test_pki.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <stdexcept>

namespace krakend::test {
namespace {

void require(bool done) {
  if (!done) throw std::runtime_error("OpenSSL refused to make a test certificate");
}

void add_extension(X509* certificate, X509* issuer, int id, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, id, value.c_str());
  require(extension != nullptr);
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

template <class Write>
std::string written(Write write) {
  const std::unique_ptr<BIO, int (*)(BIO*)> bio(BIO_new(BIO_s_mem()), BIO_free);
  require(write(bio.get()) == 1);
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<size_t>(size)};
}

}  // namespace

TestCertificate::TestCertificate(const Wanted& wanted, const TestCertificate* issuer)
    : key_(EVP_EC_gen("P-256"), EVP_PKEY_free), certificate_(X509_new(), X509_free) {
  X509* certificate = certificate_.get();
  X509* signer = issuer != nullptr ? issuer->certificate_.get() : certificate;
  X509_set_version(certificate, 2);
  uint64_t serial = 0;
  require(RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial) == 1);
  ASN1_INTEGER_set_uint64(X509_get_serialNumber(certificate), serial >> 1);
  constexpr long before = 48L * 3600;
  X509_gmtime_adj(X509_getm_notBefore(certificate), -before);
  X509_gmtime_adj(X509_getm_notAfter(certificate), wanted.valid_seconds);
  X509_set_pubkey(certificate, key_.get());
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(wanted.common_name.c_str()), -1, -1, 0);
  X509_set_issuer_name(certificate, X509_get_subject_name(signer));
  add_extension(certificate, signer, NID_basic_constraints,
                wanted.authority ? "critical,CA:TRUE" : "CA:FALSE");
  if (!wanted.names.empty()) add_extension(certificate, signer, NID_subject_alt_name, wanted.names);
  EVP_PKEY* key = issuer != nullptr ? issuer->key_.get() : key_.get();
  require(X509_sign(certificate, key, EVP_sha256()) > 0);
}

std::string TestCertificate::certificate_pem() const {
  return written([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate_.get()); });
}

std::string TestCertificate::key_pem(const std::string& passphrase) const {
  return written([&](BIO* bio) {
    const EVP_CIPHER* cipher = passphrase.empty() ? nullptr : EVP_aes_256_cbc();
    return PEM_write_bio_PrivateKey_traditional(bio, key_.get(), cipher,
                                                reinterpret_cast<const unsigned char*>(passphrase.data()),
                                                static_cast<int>(passphrase.size()), nullptr, nullptr);
  });
}

std::string TestCertificate::pkcs8_key_pem(const std::string& passphrase) const {
  return written([&](BIO* bio) {
    return PEM_write_bio_PKCS8PrivateKey(bio, key_.get(), EVP_aes_256_cbc(), passphrase.data(),
                                         static_cast<int>(passphrase.size()), nullptr, nullptr);
  });
}

}  // namespace krakend::test
