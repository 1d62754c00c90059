#pragma once

#include <string_view>
#include <vector>

#include "krakend/core/digest.h"

namespace krakend::build_index {

/// What a manifest (Docker v2, Docker list, OCI manifest or index) refers to directly, in document order, not
/// its own digest (contract core-formats §22). The error says what is wrong with it.
Result<std::vector<Digest>> manifest_references(std::string_view json);

}  // namespace krakend::build_index
