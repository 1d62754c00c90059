#include "krakend/core/content_digest.h"

#include "krakend/core/hash.h"
#include "krakend/core/hex.h"
#include "krakend/core/internal_tags.h"

namespace krakend {
namespace {

constexpr std::string_view sha512_prefix = "sha512:";

}  // namespace

ContentDigest::ContentDigest(const std::array<uint8_t, 64>& sha512)
    : text_(std::string(sha512_prefix) + to_hex(sha512)) {}

Result<ContentDigest> ContentDigest::parse(std::string_view text) {
  if (!text.starts_with(sha512_prefix)) {
    auto digest = Digest::parse(text);
    if (digest) return ContentDigest(*digest);
    return fail(Errc::invalid_argument, "digest \"{}\" is neither sha256:<64 hex> nor sha512:<128 hex>",
                text.substr(0, 160));
  }
  std::array<uint8_t, 64> bytes;
  if (!from_hex(text.substr(sha512_prefix.size()), bytes)) {
    return fail(Errc::invalid_argument, "digest \"{}\" does not have 128 hex characters",
                text.substr(0, 160));
  }
  return ContentDigest(bytes);
}

ContentDigest ContentDigest::sha512_of(std::string_view data) {
  Sha512 sha;
  sha.update(as_bytes(data));
  return sha.digest();
}

std::string alias_prefix() {
  return std::string(internal_tag_prefix) + "sha512";
}

std::string alias_repository(const ContentDigest& alias) {
  return std::string(internal_tag_prefix) + std::string(alias.algorithm());
}

}  // namespace krakend
