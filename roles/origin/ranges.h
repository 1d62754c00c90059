#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "krakend/core/result.h"

namespace krakend::origin {

/// Half-open range of bytes.
struct ByteRange {
  uint64_t start = 0;
  uint64_t stop = 0;
  uint64_t length() const { return stop - start; }
};

/// Content-Range of an upload's PATCH: "<start>-<stop>", stop exclusive, no unit (contract http-api §4.7).
/// The error carries status 400.
Result<ByteRange> parse_content_range(std::string_view header);

/// What a Range header asks of a blob of `size` bytes. nullopt: the whole blob (no header, or one that a
/// server is free to ignore: malformed, another unit, several ranges). too_large: not satisfiable.
Result<std::optional<ByteRange>> parse_range(std::string_view header, uint64_t size);

}  // namespace krakend::origin
