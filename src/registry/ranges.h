#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "krakend/core/digest.h"

namespace krakend::registry {

/// What a Range header asks of a body of known size. Malformed headers, other units and several ranges at
/// once are answered with the whole body, which RFC 9110 §14.2 always allows.
struct RangeRequest {
  enum class Kind { whole, part, unsatisfiable };
  Kind kind = Kind::whole;
  uint64_t offset = 0;
  uint64_t length = 0;
};
RangeRequest parse_range(std::string_view header, uint64_t size);

/// Content-Range of an upload chunk: "<first>-<last>", both inclusive; "bytes 0-9/20" is taken as well.
struct ChunkRange {
  uint64_t first = 0;
  uint64_t last = 0;
  uint64_t length() const { return last - first + 1; }
};
std::optional<ChunkRange> parse_chunk_range(std::string_view header);

/// True when an If-None-Match (or If-Range) value names the digest, quoted or not, alone or in a list, or is
/// "*".
bool etag_matches(std::string_view header, const Digest& digest);

}  // namespace krakend::registry
