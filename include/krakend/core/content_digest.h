#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "krakend/core/digest.h"
#include "krakend/core/result.h"

namespace krakend {

/// A digest as clients of the registry write it: sha256 or sha512. Inside krakend content is known by its
/// SHA-256 alone; the others are aliases of it, kept at the build-index.
class ContentDigest {
 public:
  ContentDigest(const Digest& digest) : text_(digest.str()), sha256_(digest) {}
  /// "sha256:<64 hex>" or "sha512:<128 hex>"; upper-case hex is accepted and normalised.
  static Result<ContentDigest> parse(std::string_view text);
  explicit ContentDigest(const std::array<uint8_t, 64>& sha512);
  /// SHA-512 of `data`.
  static ContentDigest sha512_of(std::string_view data);

  const std::string& str() const { return text_; }
  std::string_view algorithm() const { return std::string_view(text_).substr(0, text_.find(':')); }
  std::string_view hex() const { return std::string_view(text_).substr(text_.find(':') + 1); }
  /// nullopt: of another algorithm, so that its alias has to be looked up.
  const std::optional<Digest>& sha256() const { return sha256_; }
  bool operator==(const ContentDigest& other) const { return text_ == other.text_; }

 private:
  std::string text_;
  std::optional<Digest> sha256_;
};

/// Repository, in the sense of the build-index, of the tags that lead from an alias to the SHA-256: the tag
/// is the hex.
std::string alias_repository(const ContentDigest& alias);
/// What the tags of all aliases begin with.
std::string alias_prefix();

}  // namespace krakend

template <>
struct std::hash<krakend::ContentDigest> {
  size_t operator()(const krakend::ContentDigest& digest) const noexcept {
    return std::hash<std::string>()(digest.str());
  }
};
