#include "krakend/core/hash.h"

#include <isa-l/crc.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <zlib.h>

#include <bit>
#include <cstring>

namespace krakend {
namespace {

uint64_t load64(const uint8_t* bytes) {
  uint64_t value;
  std::memcpy(&value, bytes, sizeof value);
  return value;
}

uint64_t final_mix(uint64_t k) {
  k = (k ^ k >> 33) * 0xff51afd7ed558ccd;
  k = (k ^ k >> 33) * 0xc4ceb9fe1a85ec53;
  return k ^ k >> 33;
}

constexpr uint64_t c1 = 0x87c37b91114253d5;
constexpr uint64_t c2 = 0x4cf5ad432745937f;

uint64_t mix1(uint64_t k) {
  return std::rotl(k * c1, 31) * c2;
}
uint64_t mix2(uint64_t k) {
  return std::rotl(k * c2, 33) * c1;
}

/// A digest in progress at OpenSSL.
class EvpDigest {
 public:
  explicit EvpDigest(const EVP_MD* type) : context_(EVP_MD_CTX_new()) {
    EVP_DigestInit_ex(context_, type, nullptr);
  }
  EvpDigest(const EvpDigest& other) : context_(EVP_MD_CTX_new()) {
    EVP_MD_CTX_copy_ex(context_, other.context_);
  }
  EvpDigest& operator=(const EvpDigest&) = delete;
  ~EvpDigest() { EVP_MD_CTX_free(context_); }

  void update(std::span<const std::byte> data) { EVP_DigestUpdate(context_, data.data(), data.size()); }
  template <size_t bytes>
  std::array<uint8_t, bytes> finish() {
    std::array<uint8_t, bytes> digest;
    EVP_DigestFinal_ex(context_, digest.data(), nullptr);
    return digest;
  }

 private:
  EVP_MD_CTX* context_;
};

}  // namespace

struct Sha256::State : EvpDigest {
  State() : EvpDigest(EVP_sha256()) {}
};

Sha256::Sha256() : state_(std::make_unique<State>()) {}
Sha256::Sha256(const Sha256& other) : state_(std::make_unique<State>(*other.state_)) {}
Sha256& Sha256::operator=(const Sha256& other) {
  if (this != &other) state_ = std::make_unique<State>(*other.state_);
  return *this;
}
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;
Sha256::~Sha256() = default;

void Sha256::update(std::span<const std::byte> data) {
  state_->update(data);
}

Digest Sha256::digest() const {
  State copy(*state_);
  return Digest(copy.finish<32>());
}

struct Sha512::State : EvpDigest {
  State() : EvpDigest(EVP_sha512()) {}
};

Sha512::Sha512() : state_(std::make_unique<State>()) {}
Sha512::Sha512(Sha512&&) noexcept = default;
Sha512::~Sha512() = default;

void Sha512::update(std::span<const std::byte> data) {
  state_->update(data);
}

ContentDigest Sha512::digest() {
  return ContentDigest(state_->finish<64>());
}

uint32_t crc32_combine(uint32_t first, uint32_t second, uint64_t second_length) {
  return static_cast<uint32_t>(::crc32_combine(first, second, static_cast<z_off_t>(second_length)));
}

uint32_t crc32(uint32_t seed, std::span<const std::byte> data) {
  return crc32_gzip_refl(seed, reinterpret_cast<const unsigned char*>(data.data()), data.size());
}

std::array<uint8_t, 20> sha1(std::string_view data) {
  std::array<uint8_t, 20> bytes;
  EVP_Digest(data.data(), data.size(), bytes.data(), nullptr, EVP_sha1(), nullptr);
  return bytes;
}

uint64_t murmur3_h1(std::span<const uint8_t> data) {
  uint64_t h1 = 0;
  uint64_t h2 = 0;
  const size_t blocks = data.size() / 16;
  for (size_t i = 0; i < blocks; ++i) {
    h1 ^= mix1(load64(&data[i * 16]));
    h1 = (std::rotl(h1, 27) + h2) * 5 + 0x52dce729;
    h2 ^= mix2(load64(&data[i * 16 + 8]));
    h2 = (std::rotl(h2, 31) + h1) * 5 + 0x38495ab5;
  }
  std::array<uint8_t, 16> tail{};
  const size_t rest = data.size() % 16;
  if (rest > 0) std::memcpy(tail.data(), &data[blocks * 16], rest);
  if (rest > 8) h2 ^= mix2(load64(tail.data() + 8));
  if (rest > 0) h1 ^= mix1(load64(tail.data()));
  h1 ^= data.size();
  h2 ^= data.size();
  h1 += h2;
  h2 += h1;
  return final_mix(h1) + final_mix(h2);
}

}  // namespace krakend
