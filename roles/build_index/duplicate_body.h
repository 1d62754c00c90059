#pragma once

#include <string>
#include <vector>

#include "krakend/core/digest.h"
#include "krakend/core/result.h"
#include "krakend/core/time.h"

namespace krakend::build_index {

/// What build-indexes of one cluster tell each other besides the path (contract http-api §2.6):
/// {"dependencies": ["sha256:…"] or null, "delay": <nanoseconds>}; of a put the delay alone. As Go has it,
/// keys may be in any case and may be missing.
struct DuplicateBody {
  std::vector<Digest> dependencies;
  Duration delay{0};
};

Result<DuplicateBody> parse_duplicate_body(const std::string& json);

}  // namespace krakend::build_index
