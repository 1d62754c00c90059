#include "krakend/core/digest.h"

#include "krakend/core/hash.h"
#include "krakend/core/hex.h"

namespace krakend {
namespace {

constexpr std::string_view prefix = "sha256:";

}  // namespace

Result<Digest> Digest::parse(std::string_view text) {
  if (!text.starts_with(prefix)) {
    return fail(Errc::invalid_argument, "digest \"{}\" is not of the form sha256:<64 hex>",
                text.substr(0, 128));
  }
  return parse_hex(text.substr(prefix.size()));
}

Result<Digest> Digest::parse_hex(std::string_view hex) {
  Digest digest;
  if (!from_hex(hex, digest.bytes_)) {
    return fail(Errc::invalid_argument, "digest \"{}\" does not have 64 hex characters", hex.substr(0, 128));
  }
  return digest;
}

Result<Digest> Digest::parse_any(std::string_view text) {
  return text.find(':') == std::string_view::npos ? parse_hex(text) : parse(text);
}

Digest Digest::of(std::string_view data) {
  Sha256 sha;
  sha.update(as_bytes(data));
  return sha.digest();
}

std::string Digest::hex() const {
  return to_hex(bytes_);
}

std::string Digest::str() const {
  return std::string(prefix) + hex();
}

}  // namespace krakend
